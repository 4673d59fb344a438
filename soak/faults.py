"""The faults of the soak. Each fault is complete: it breaks something and repairs it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from ibkr import ConnectionState, Status
from ibkr.core.codes import WITHHELD
from soak.harness import CLIENT_ID, Rig

DEGRADED, RECONNECTING = ConnectionState.DEGRADED, ConnectionState.RECONNECTING

Episode: TypeAlias = Callable[[Rig, random.Random], Awaitable[str]]
"""Carries out one fault and its end, and returns a description. The caller waits for READY."""

BREAKING = frozenset({"reset", "close", "restart", "freeze", "lose_upstream", "change_port"})
"""Faults that begin an outage. An episode carries out at most one of them, once."""

MODES = ("silent", "http", "ssh", "garbage", "close_on_accept", "close_after_handshake", "old_version")
SYMBOLS = ("AAPL", "MSFT")
REQUESTS = (
    "reqPositions",
    "reqOpenOrders",
    "reqCompletedOrders",
    "reqAccountUpdates",
    "reqAccountUpdatesMulti",
    "reqExecutions",
)


async def _reset(rig: Rig, _: random.Random) -> str:
    await rig.fault("reset")
    return "reset"


async def _close(rig: Rig, _: random.Random) -> str:
    await rig.fault("close")
    return "close"


async def _restart(rig: Rig, dice: random.Random) -> str:
    seconds = dice.uniform(0.1, 3)
    await rig.fault(f"restart {seconds:.2f}")
    return f"restart, port shut for {seconds:.2f} s"


async def _dead(rig: Rig, dice: random.Random) -> str:
    seconds = dice.uniform(0, 1)
    await rig.fault("freeze")
    await rig.until(lambda status: status.state is RECONNECTING)
    await asyncio.sleep(seconds)
    await rig.fault("thaw")
    return f"freeze until the session is declared dead, {seconds:.2f} s more"


async def _suspect(rig: Rig, _: random.Random) -> str:
    await rig.fault("freeze")
    await rig.until(lambda status: status.state is not ConnectionState.READY)
    await rig.fault("thaw")
    return "freeze until suspect"


async def _upstream(rig: Rig, dice: random.Random, back: str) -> str:
    times, seconds = dice.randint(1, 4), dice.uniform(0.05, 1.5)
    await rig.fault(f"lose_upstream {times} 0.1")
    await rig.until(lambda status: status.state is DEGRADED)
    await asyncio.sleep(seconds)
    await rig.fault(back)
    return f"1100 up to {times} times, {back} after {seconds:.2f} s"


async def _kept(rig: Rig, dice: random.Random) -> str:
    return await _upstream(rig, dice, "1102")


async def _lost(rig: Rig, dice: random.Random) -> str:
    return await _upstream(rig, dice, "1101")


async def _upstream_down_at_connect(rig: Rig, _: random.Random) -> str:
    await rig.fault("2110")
    await rig.fault("close")
    await rig.until(lambda status: status.state is DEGRADED)
    await rig.fault("1102")
    return "close, 2110 in the new session, 1102"


def _mode(name: str) -> Episode:
    async def episode(rig: Rig, dice: random.Random) -> str:
        seconds, breaks = dice.uniform(0.1, 2), dice.choice(["reset", "close"])
        await rig.fault(name)
        await rig.fault(breaks)
        await asyncio.sleep(seconds)
        await rig.fault("clear")
        return f"{breaks}, {name} for {seconds:.2f} s"

    return episode


async def _occupied(rig: Rig, dice: random.Random) -> str:
    seconds = dice.uniform(0.1, 2)
    await rig.fault(f"occupy_client_id {CLIENT_ID} {seconds:.2f}")
    await rig.fault("reset")
    return f"reset, client id taken for {seconds:.2f} s"


async def _mute(rig: Rig, dice: random.Random) -> str:
    request = dice.choice(REQUESTS)
    await rig.fault(f"mute {request}")
    await rig.fault("reset")
    await rig.until(lambda status: "without an answer" in status.reason)
    await rig.fault("clear")
    await rig.fault("1102")
    return f"reset, {request} unanswered until 1102"


async def _delay(rig: Rig, dice: random.Random) -> str:
    seconds, outages = dice.uniform(0.01, 0.1), rig.connector.status.outages
    await rig.fault(f"delay {seconds:.2f}")
    await rig.fault("reset")

    def is_back(status: Status) -> bool:
        return status.outages > outages and status.state is ConnectionState.READY

    await rig.until(is_back)
    await rig.fault("delay 0")
    return f"reset, all is sent {seconds:.2f} s late"


async def _read_only(rig: Rig, _: random.Random) -> str:
    await rig.fault("read_only")
    await rig.fault("reset")
    await rig.until(lambda status: status.read_only)
    await rig.fault("clear")
    return "reset, the new session is read-only"


async def _farm(rig: Rig, dice: random.Random) -> str:
    farm, seconds = dice.choice(["usfarm", "usfuture", "ushmds", "secdefnj"]), dice.uniform(0.1, 1)
    await rig.fault(f"break_farm {farm}")
    await rig.until(lambda status: status.farms.get(farm) == "broken")
    await asyncio.sleep(seconds)
    await rig.fault(f"mend_farm {farm}")
    return f"{farm} broken for {seconds:.2f} s"


async def _port(rig: Rig, _: random.Random) -> str:
    await rig.fault("change_port")
    return "API port changed"


async def _ended(rig: Rig, dice: random.Random) -> str:
    symbol, code = dice.choice(SYMBOLS), dice.choice([316, 10182, 10225])
    await rig.fault(f"end_stream {symbol} {code}")
    return f"{symbol} ended with {code}"


async def _stalled(rig: Rig, dice: random.Random) -> str:
    await asyncio.sleep(1)  # the connector expects ticks only of a stream that has had ten ticks
    symbol = dice.choice(SYMBOLS)
    await rig.fault("break_farm usfarm")
    await rig.fault(f"stall_stream {symbol}")
    await rig.fault("mend_farm usfarm")
    return f"usfarm flaps, {symbol} stays silent"


async def _competing(rig: Rig, dice: random.Random) -> str:
    seconds = dice.uniform(0.1, 1)
    await rig.fault("competing_login")
    await rig.until(lambda status: WITHHELD in status.codes)
    await asyncio.sleep(seconds)
    await rig.fault("end_competing_login")
    return f"logged in elsewhere for {seconds:.2f} s"


EPISODES: tuple[Episode, ...] = (
    _port,
    _ended,
    _stalled,
    _competing,
    _reset,
    _close,
    _restart,
    _dead,
    _suspect,
    _kept,
    _lost,
    _upstream_down_at_connect,
    *(_mode(name) for name in MODES),
    _occupied,
    _mute,
    _delay,
    _read_only,
    _farm,
)


def draw_overlapping(dice: random.Random) -> str:
    """Draw one command of the simulator, independent of the others. Half of the commands break something."""
    breaks = (
        "reset",
        "close",
        "change_port",
        "competing_login",
        f"end_stream {dice.choice(SYMBOLS)}",
        f"restart {dice.uniform(0.05, 2):.2f}",
        "freeze",
        f"1100 {dice.randint(1, 3)} 0.1",
        "2110",
        f"break_farm {dice.choice(['usfarm', 'usfuture'])}",
        f"occupy_client_id {CLIENT_ID} {dice.uniform(0.1, 2):.2f}",
        dice.choice(MODES),
        "read_only",
        f"mute {dice.choice(REQUESTS)}",
        f"delay {dice.uniform(0, 0.2):.2f}",
    )
    mends = ("clear", "clear", "thaw", "1101", "1102", "mend_farm usfarm", "mend_farm usfuture", "end_competing_login")
    return dice.choice(dice.choice([breaks, mends]))
