"""The host's name: does it have an address?"""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import suppress

from ibkr.core.errors import FailureKind
from ibkr.doctor.check import Check, fail, ok
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient
from ibkr.session.dial import resolve_in_thread

_NAME = "name"
_SECONDS = 3.0


async def _look(patient: Patient) -> list[Finding]:
    host = patient.ibkr.host
    try:
        async with asyncio.timeout(_SECONDS):
            addresses = await _resolved(host)
    except (OSError, UnicodeError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        why = f"no answer in {_SECONDS:g} s" if isinstance(error, TimeoutError) else text
        advice = "Check ibkr.host for a slip of the pen, and the machine's DNS; 127.0.0.1 is this machine."
        return fail(_NAME, str(FailureKind.UNREACHABLE), f"the name {host!r} has no address: {why}", advice)
    patient.addresses = addresses
    return ok(_NAME, host if addresses == [host] else f"{host} is {', '.join(addresses)}")


async def _resolved(host: str) -> list[str]:
    """Its addresses. Raises ``OSError`` or ``UnicodeError``."""
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]  # needs no resolver
    found = await resolve_in_thread(host, 0)
    return [str(address.sockaddr[0]) for address in found]


CHECK = Check(_NAME, "Name of the host", _look, needs=("configuration",))
