"""The port: open, refused, or filtered on the way?"""

from __future__ import annotations

import time

from ibkr.core.errors import FailureKind
from ibkr.doctor.api import dialled
from ibkr.doctor.check import Check, fail, ok
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "port"
_SECONDS = 2.0
_KIND = str(FailureKind.UNREACHABLE)


async def _look(patient: Patient) -> list[Finding]:
    began = time.monotonic()
    error: OSError | None = None
    for address in patient.addresses:
        try:
            async with dialled(address, patient.ibkr.port, _SECONDS):
                took = time.monotonic() - began
        except OSError as failed:
            error = error or failed
            continue
        patient.addresses = [address, *(each for each in patient.addresses if each != address)]
        return ok(_NAME, f"{patient.endpoint} is open ({1000 * took:.1f} ms)")
    assert error is not None, "a name that is resolved has an address"
    return _why(patient, error)


def _why(patient: Patient, error: OSError) -> list[Finding]:
    if isinstance(error, ConnectionRefusedError):
        message = f"{patient.endpoint} refuses: nothing listens at this port"
        advice = patient.cure(FailureKind.UNREACHABLE)
    elif isinstance(error, TimeoutError):
        message = f"{patient.endpoint} does not answer within {_SECONDS:g} s: a firewall on the way drops what is sent"
        advice = "Open the port in the firewalls between here and the gateway, and check host and port."
    else:
        message = f"{patient.endpoint} cannot be reached: {error.strerror or error}"
        advice = "Check ibkr.host and this machine's network: the gateway's machine is not reached at all."
    return fail(_NAME, _KIND, message, advice)


CHECK = Check(_NAME, "Port", _look, needs=("name",))
