"""Maintenance: is trouble to be expected now, and when next?"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from ibkr.core.window import Window
from ibkr.doctor.check import Check, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "maintenance"


async def _look(patient: Patient) -> list[Finding]:
    calendar = patient.ibkr.policy.calendar(ZoneInfo)
    current, until = calendar.look(datetime.now(UTC))
    if current is not None:
        advice = f"What has failed above may be due to it: look again after {current.end:%H:%M} UTC."
        return warn(_NAME, "maintenance", f"a maintenance window is on: {current}", advice)
    coming = calendar.look(until)[0] if until is not None else None
    return ok(_NAME, f"none now; next: {_when(coming)}" if coming else "no window is configured (region = none)")


def _when(window: Window) -> str:
    return f"{window.name} {window.start:%a %H:%M} to {window.end:%a %H:%M} UTC"


CHECK = Check(_NAME, "Maintenance windows", _look, needs=("configuration",))
