"""The session: does the gateway take a client, with an id that none of the user's programs has?"""

from __future__ import annotations

import time

from ibkr.core.errors import FailureKind
from ibkr.doctor.api import Notice, Session, SessionEnded, dialled, is_a, start
from ibkr.doctor.check import Check, fail, ok
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient
from ibkr.wire import messages

_NAME = "session"
_ACCOUNTS_WITHIN = 1.0


async def _look(patient: Patient) -> list[Finding]:
    began = time.monotonic()
    for own_id in patient.own_ids:
        try:
            opened = await _open(patient, own_id)
        except TimeoutError:
            opened = None
        except SessionEnded as error:
            message = f"the gateway takes the handshake, then ends the connection without a code ({error})"
            return fail(_NAME, str(FailureKind.CLOSED), message, patient.cure(FailureKind.CLOSED))
        if opened is None:
            message = f"the gateway takes the handshake, then says nothing for {patient.ibkr.timeout:g} s"
            return fail(_NAME, str(FailureKind.SILENT), message, patient.cure(FailureKind.SILENT))
        if isinstance(opened, Session):
            patient.session = opened
            return ok(_NAME, f"open as client {own_id} ({1000 * (time.monotonic() - began):.0f} ms)")
    message = f"the client ids {', '.join(map(str, patient.own_ids))} are all taken"
    advice = "Something holds ids in numbers: restart the gateway, or end the programs that are connected to it."
    return fail(_NAME, str(FailureKind.CLIENT_ID_IN_USE), message, advice)


async def _open(patient: Patient, own_id: int) -> Session | Notice | None:
    seconds = patient.ibkr.timeout
    line = await patient.lines.enter_async_context(dialled(patient.address, patient.ibkr.port, seconds))
    opened = await start(line, patient.versions, own_id, seconds)
    if isinstance(opened, Session) and not opened.accounts:
        await opened.until(is_a(messages.MANAGED_ACCOUNTS.message_id), _ACCOUNTS_WITHIN)
    return opened


CHECK = Check(_NAME, "API session", _look, needs=("handshake",))
