"""A connector behind the proxy recovers from each fault as from the simulator's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ibkr import ConnectionState, IBConnector, Policy, Status
from ibkr.proxy.proxy_faults import PROXY_FAULTS
from ibkr.simulator import FAULTS, Gateway
from tests.faults.conftest import LETTERS, SHORT
from tests.faults.matrix.rows import ROWS, Kind
from tests.fixture_types import AAPL, NextTick
from tests.proxy.fault_arguments import ARGUMENTS

THE_SAME = {"error": "lose_upstream"}
"""The names of the simulator's faults that differ from the name of the same fault of the proxy."""
_CURE = {"error": "restore_upstream", "mute": "restore_upstream", "drop_message": "restore_upstream"}


@dataclass
class Rig:
    """A connector, and a way to inject faults."""

    port: int
    strike: Callable[..., None]
    cure: Callable[[str], None]

    async def life(self, name: str, next_tick: NextTick) -> str:
        """The states of a connector during this fault and after its end, as letters."""
        row = ROWS[THE_SAME.get(name, name)]
        policy = Policy(**{"region": "none", **SHORT, **{k: v for k, v in row.policy.items() if k != "timeout"}})
        connector = IBConnector("127.0.0.1", self.port, 7, row.policy.get("timeout", 5.0), policy=policy)
        states = [connector.status.state]

        def note(status: Status) -> None:
            if status.state is not states[-1]:
                states.append(status.state)

        connector.on_status(note)
        try:
            await connector.connect_async()
            ticker = connector.ib.reqMktData(AAPL)
            await next_tick(ticker)
            self.strike(name, *ARGUMENTS.get(name, ()))
            if row.drops:
                self.strike("close")
            async with asyncio.timeout(10):
                async for status in connector.changes():
                    if _is_felt(status, row, states):
                        break
            self.strike("clear")
            self.cure(_CURE.get(name, ""))
            await connector.wait_ready_async(10)
            await next_tick(ticker)
            await connector.ib.reqCurrentTimeAsync()
        finally:
            await connector.disconnect_async()
        return "".join(LETTERS[state] for state in states[:-1])


def _is_felt(status: Status, row: Any, states: list[ConnectionState]) -> bool:
    match row.kind:
        case Kind.BREAKS:
            return ConnectionState.RECONNECTING in states and status.state is ConnectionState.READY
        case Kind.HALF_OPEN:
            return status.state is ConnectionState.RECONNECTING and status.attempt > 1 and bool(status.last_error)
        case Kind.DEGRADES:
            return status.state is ConnectionState.DEGRADED and row.says in status.reason
    return True


@pytest.fixture
async def simulated():
    async with Gateway(tick_interval=0.02, id_hold=0) as gateway:
        yield gateway


@pytest.fixture
async def behind_proxy(simulated, new_proxy) -> Callable[[], Awaitable[Rig]]:
    async def make() -> Rig:
        proxy = await new_proxy(simulated.port)
        cured = {"restore_upstream": 1102}
        return Rig(
            proxy.port, proxy.faults.call, lambda name: proxy.faults.error(cured[name]) if name in cured else None
        )

    return make


@pytest.mark.parametrize("name", sorted(PROXY_FAULTS))
async def test_a_connector_gets_over_it_as_over_the_simulators_own(name, simulated, behind_proxy, next_tick):
    here = await (await behind_proxy()).life(name, next_tick)

    def strike(word: str, *args: object) -> None:
        own = () if word == "error" else args
        simulated.faults.call(THE_SAME.get(word, word), *own)

    def cure(word: str) -> None:
        if word:
            simulated.faults.call(word)

    there = await Rig(simulated.port, strike, cure).life(name, next_tick)
    assert here == there
    assert here.endswith("R")


def test_the_words_are_those_of_the_simulator() -> None:
    for name, fault in PROXY_FAULTS.items():
        if name not in THE_SAME:
            theirs = [(item.name, item.kind, item.default) for item in FAULTS[name].parameters]
            assert [(item.name, item.kind, item.default) for item in fault.parameters] == theirs
