"""Latency: 20 round trips, one after another.

By reqManagedAccts, which the gateway answers from memory. Not by reqCurrentTime: asked again within a second, a real
gateway may never answer (erdewit/ib_insync issue 604), and 20 of them would take 20 s.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from ibkr.doctor.api import is_a
from ibkr.doctor.check import Check, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient
from ibkr.wire import messages

_NAME = "latency"
_PROBES = 20
_APART = 0.03
"""Seconds from one to the next: the gateway allows 50 messages a second."""
_BUDGET = 2.0
_SLOW = 0.25
_REQUEST = 17


async def _look(patient: Patient) -> list[Finding]:
    session, took = patient.open_session, list[float]()
    ends = time.monotonic() + _BUDGET
    while len(took) < _PROBES and time.monotonic() < ends:
        began = time.monotonic()
        session.send(_REQUEST, 1)
        if await session.until(is_a(messages.MANAGED_ACCOUNTS.message_id), max(ends - began, _APART)) is None:
            break
        took.append(time.monotonic() - began)
        await asyncio.sleep(max(0.0, _APART - took[-1]))
    if not took:
        message = f"no round trip within {_BUDGET:g} s"
        return warn(_NAME, "unanswered", message, "Look again; if it stays so, restart the gateway.")
    median, highest = statistics.median(took), _percentile(took, 99)
    listed = f"{1000 * median:.1f} ms median, {1000 * highest:.1f} ms 99th percentile, {len(took)} probes"
    if median >= _SLOW:
        advice = "The gateway's machine is loaded, or the line to it is long or lossy: run programs beside the gateway."
        return warn(_NAME, "slow", listed, advice)
    return ok(_NAME, listed)


def _percentile(values: list[float], percent: int) -> float:
    """The smallest value that so many percent are not above."""
    ranked = sorted(values)
    return ranked[-(-len(ranked) * percent // 100) - 1]


CHECK = Check(_NAME, "Latency", _look, needs=("session",))
