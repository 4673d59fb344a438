"""The client id of the user's program: free, or taken? Whoever has it is not disturbed: the newcomer is refused."""

from __future__ import annotations

from ibkr.core.errors import FailureKind
from ibkr.doctor.api import Notice, SessionEnded, dialled, start
from ibkr.doctor.check import Check, advised, fail, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "client id"


async def _look(patient: Patient) -> list[Finding]:
    wanted, seconds = patient.ibkr.client_id, patient.ibkr.timeout
    why = "no answer"
    try:
        async with dialled(patient.address, patient.ibkr.port, seconds) as line:
            opened = await start(line, patient.versions, wanted, seconds)
    except (TimeoutError, SessionEnded) as error:
        opened, why = None, str(error) or why
    if opened is None:
        message = f"the gateway takes another client id, but not {wanted}: {why}"
        advice = f"Client id {wanted} may still be taken by a session that was cut: wait a minute, or choose another."
        return warn(_NAME, str(FailureKind.CLIENT_ID_IN_USE), message, advice)
    if isinstance(opened, Notice):
        message = f"client id {wanted} is taken: a program that connects with it now is refused (326)"
        advice = f"If your own program has it now, all is well. Else: {advised(opened.code)}"
        return fail(_NAME, str(FailureKind.CLIENT_ID_IN_USE), message, advice)
    return ok(_NAME, f"{wanted} is free")


CHECK = Check(_NAME, "Client id", _look, needs=("session",))
