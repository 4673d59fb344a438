"""Checks of time: the gateway's clock, and the latency of its answers."""

from __future__ import annotations

import asyncio
import statistics
import time

from ibkr.doctor.api_client import is_message
from ibkr.doctor.check import Check, Finding, ok, warn
from ibkr.doctor.context import Context
from ibkr.wire import messages

_CLOCK_TIMEOUT = 2.0
_CLOCK_OFF = 5.0
"""If the clocks differ by this many seconds, times of bars and good-till-dates are misleading."""
_CURRENT_TIME, _MANAGED_ACCOUNTS = 49, 17
_PROBES = 20
_PROBE_INTERVAL = 0.03
"""Seconds between two probes: the gateway accepts 50 messages per second."""
_LATENCY_TIMEOUT = 2.0
"""Seconds for all probes."""
_SLOW = 0.25
_ASK_AGAIN = "Run this again. If the result is the same, restart the gateway."


async def _check_clock(context: Context) -> list[Finding]:
    """Does the gateway's clock agree with ours?

    This sends only one reqCurrentTime, because a real gateway may hang after two within one second.
    """
    session = context.open_session
    asked = time.time()
    session.send(_CURRENT_TIME, 1)
    answer = await session.wait_for(is_message(messages.CURRENT_TIME.message_id, fields=3), _CLOCK_TIMEOUT)
    if answer is None:
        return warn("unanswered", f"the gateway does not send its time within {_CLOCK_TIMEOUT:g} s", _ASK_AGAIN)
    # The gateway sends whole seconds. Half a second is the best estimate of the missing part.
    off = int(answer[2]) + 0.5 - (asked + time.time()) / 2
    if abs(off) >= _CLOCK_OFF:
        direction = "ahead of" if off > 0 else "behind"
        message = f"the gateway's clock is {abs(off):.0f} s {direction} ours"
        advice = "Synchronize both machines by NTP (timedatectl; w32tm /resync), then restart the gateway."
        return warn("clock_off", message, advice)
    return ok("the gateway's clock agrees with ours to the second" if abs(off) < 1 else f"{off:+.0f} s off ours")


async def _check_latency(context: Context) -> list[Finding]:
    """How long do 20 round trips take, one after another?

    They use reqManagedAccts, which the gateway answers from memory. They do not use reqCurrentTime: if a real gateway
    gets two within a second, it may never answer the second (erdewit/ib_insync issue 604), so 20 trips would take 20 s.
    """
    session, round_trips = context.open_session, list[float]()
    deadline = time.monotonic() + _LATENCY_TIMEOUT
    is_answer = is_message(messages.MANAGED_ACCOUNTS.message_id)
    while len(round_trips) < _PROBES and time.monotonic() < deadline:
        began = time.monotonic()
        session.send(_MANAGED_ACCOUNTS, 1)
        if await session.wait_for(is_answer, max(deadline - began, _PROBE_INTERVAL)) is None:
            break
        round_trips.append(time.monotonic() - began)
        await asyncio.sleep(max(0.0, _PROBE_INTERVAL - round_trips[-1]))
    if not round_trips:
        return warn("unanswered", f"no round trip within {_LATENCY_TIMEOUT:g} s", _ASK_AGAIN)
    median, highest = statistics.median(round_trips), _percentile(round_trips, 99)
    listed = f"{1000 * median:.1f} ms median, {1000 * highest:.1f} ms 99th percentile, {len(round_trips)} probes"
    if median >= _SLOW:
        advice = (
            "The gateway's machine is too busy, or the network is slow or loses packets. Run your program on the same"
            " machine as the gateway."
        )
        return warn("slow", listed, advice)
    return ok(listed)


def _percentile(values: list[float], percent: int) -> float:
    """Return the smallest value that is not below ``percent`` % of the values."""
    ranked = sorted(values)
    return ranked[-(-len(ranked) * percent // 100) - 1]


CLOCK = Check("clock", "Clock", _check_clock, needs=("session",))
LATENCY = Check("latency", "Latency", _check_latency, needs=("session",))
