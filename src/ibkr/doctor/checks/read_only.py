"""The gateway's Read-Only API setting: would it take orders?"""

from __future__ import annotations

from ibkr.core.codes import is_read_only
from ibkr.doctor.check import Check, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "read-only"


async def _look(patient: Patient) -> list[Finding]:
    if patient.ibkr.readonly:
        return ok(_NAME, "not looked for: readonly = true, this program asks for no orders")
    if any(is_read_only(notice.code, notice.text) for notice in patient.open_session.notices):
        message = "the gateway's Read-Only API setting is on: orders are refused (321), data is not"
        advice = (
            "To trade, switch it off: Global Configuration, API, Settings, 'Read-Only API'. Else set readonly = true."
        )
        return warn(_NAME, "read_only", message, advice)
    return ok(_NAME, "off: the gateway answers requests about orders")


CHECK = Check(_NAME, "Read-Only API", _look, needs=("session", "start-up"))
