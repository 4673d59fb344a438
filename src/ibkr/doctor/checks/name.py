"""The host's name: does it have an address?"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress

from ibkr.core.errors import FailureKind
from ibkr.doctor.check import Check, fail, ok
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

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
    """Its addresses. Raises ``OSError`` or ``UnicodeError``.

    In a thread that nobody waits for at the end, unlike those of the loop: a resolver may hang for half a minute.
    """
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]  # needs no resolver
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[str]] = loop.create_future()

    def tell(found: list[str] | None, error: Exception | None) -> None:
        if done.done():  # given up
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(found or [])

    def resolve() -> None:
        found: list[str] | None = None
        failed: Exception | None = None
        try:
            entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
        except (OSError, UnicodeError) as error:
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, found, failed)

    threading.Thread(target=resolve, daemon=True, name="ibkr-doctor-name").start()
    return await done


CHECK = Check(_NAME, "Name of the host", _look, needs=("configuration",))
