"""The handshake: the gateway's protocol version, and its clock's zone."""

from __future__ import annotations

from ibkr.core.errors import FailureKind
from ibkr.doctor.check import Check, fail, ok
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "handshake"


async def _look(patient: Patient) -> list[Finding]:
    greeting = patient.greeting
    assert greeting is not None, "the check of the peer comes first"
    oldest, newest = patient.versions
    spoken = f"the client library speaks {oldest} to {newest}"
    if not oldest <= greeting.version <= newest:
        message = f"the gateway speaks protocol version {greeting.version}, {spoken}"
        kind = FailureKind.UNSUPPORTED_VERSION
        return fail(_NAME, str(kind), message, patient.cure(kind))
    zone = greeting.time.partition(" ")[2].partition(" ")[2] or "not told"
    return ok(_NAME, f"protocol version {greeting.version} ({spoken}), zone of its clock: {zone}")


CHECK = Check(_NAME, "Handshake", _look, needs=("peer",))
