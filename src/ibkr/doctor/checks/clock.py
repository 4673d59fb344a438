"""The gateway's clock against ours, by one reqCurrentTime: a second one within a second may hang a real gateway."""

from __future__ import annotations

import time

from ibkr.doctor.api import is_a
from ibkr.doctor.check import Check, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient
from ibkr.wire import messages

_NAME = "clock"
_SECONDS = 2.0
_WRONG = 5.0
"""Seconds from which on a bar's time or a good-till-date is no longer what one thinks."""
_REQUEST = 49


async def _look(patient: Patient) -> list[Finding]:
    session = patient.open_session
    asked = time.time()
    session.send(_REQUEST, 1)
    answer = await session.until(is_a(messages.CURRENT_TIME.message_id, fields=3), _SECONDS)
    if answer is None:
        message = f"the gateway does not tell its time within {_SECONDS:g} s"
        return warn(_NAME, "unanswered", message, "Look again; if it stays so, restart the gateway.")
    # It tells whole seconds: half of one is the best guess for the rest.
    off = int(answer[2]) + 0.5 - (asked + time.time()) / 2
    if abs(off) >= _WRONG:
        way = "ahead of" if off > 0 else "behind"
        message = f"the gateway's clock is {abs(off):.0f} s {way} ours"
        advice = "Let both machines set their clocks by NTP (timedatectl; w32tm /resync), then restart the gateway."
        return warn(_NAME, "clock_off", message, advice)
    return ok(_NAME, "the gateway's clock and ours agree to the second" if abs(off) < 1 else f"{off:+.0f} s off ours")


CHECK = Check(_NAME, "Clock", _look, needs=("session",))
