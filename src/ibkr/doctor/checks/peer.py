"""The peer: a gateway, or something else that has the port, or nothing behind a forwarder?

Many a program is mute until it is spoken to in its own way: each opening goes over a connection of its own.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from ibkr.core.errors import FailureKind
from ibkr.doctor.api import Greeting, NotTheApi, SessionEnded, dialled
from ibkr.doctor.check import Check, fail, ok
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient
from ibkr.wire import Opening

_NAME = "peer"
_PATIENCE = 1.0
"""Seconds after which a peer that has not answered the hello is spoken to in other ways."""
_OTHERS = 2.0
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")


async def _look(patient: Patient) -> list[Finding]:
    began = time.monotonic()
    hello = asyncio.create_task(_hello(patient))
    others: asyncio.Task[str] | None = None
    try:
        await asyncio.wait({hello}, timeout=_PATIENCE)
        if hello.done() and isinstance(greeting := hello.result(), Greeting):
            patient.greeting = greeting
            return ok(_NAME, f"a gateway ({1000 * (time.monotonic() - began):.0f} ms)")
        others = asyncio.create_task(_other(patient))
        await asyncio.wait({hello, others}, return_when=asyncio.FIRST_COMPLETED)
        if others.done() and others.result():
            return _is_other(patient, others.result())
        answer = await hello
        if isinstance(answer, Greeting):
            patient.greeting = answer
            return ok(_NAME, f"a gateway, which took {time.monotonic() - began:.1f} s to answer")
        found = await others
        return _is_other(patient, found) if found else _verdict(patient, answer)
    finally:
        for task in filter(None, (hello, others)):
            task.cancel()
        await asyncio.gather(*filter(None, (hello, others)), return_exceptions=True)


async def _hello(patient: Patient) -> Greeting | ConnectionError | None:
    """What comes of the API's own opening; None is silence."""
    seconds = patient.ibkr.timeout
    try:
        async with dialled(patient.address, patient.ibkr.port, seconds) as line, asyncio.timeout(seconds):
            return (await line.greet(patient.versions))[0]
    except TimeoutError:
        return None
    except ConnectionError as error:  # NotTheApi and SessionEnded among them
        return error


async def _other(patient: Patient) -> str:
    """What the peer is in another protocol's words, or ''."""
    tries = [
        asyncio.create_task(_try(patient, *each)) for each in ((b"", _ssh), (_GET, _http), (_client_hello(), _tls))
    ]
    try:
        for each in asyncio.as_completed(tries):
            if found := await each:
                return found
    finally:
        for task in tries:
            task.cancel()
        await asyncio.gather(*tries, return_exceptions=True)
    return ""


async def _try(patient: Patient, opening: bytes, recognise: Callable[[bytes], str]) -> str:
    data = b""
    with suppress(OSError):  # also TimeoutError and SessionEnded: not of this kind
        async with dialled(patient.address, patient.ibkr.port, _OTHERS) as line, asyncio.timeout(_OTHERS):
            line.send(opening)
            while len(data) < 5:
                data += await line.read()
    return recognise(data)


_GET = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"


def _http(data: bytes) -> str:
    return "a web server (HTTP)" if data.startswith(b"HTTP/") else ""


def _ssh(data: bytes) -> str:
    return "an SSH server" if data.startswith(b"SSH-") else ""


def _tls(data: bytes) -> str:
    return "a server that wants TLS" if data.startswith(_TLS_RECORDS) else ""


def _client_hello() -> bytes:
    """The first bytes of a TLS client."""
    sent = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost").do_handshake()
    return sent.read()


def _is_other(patient: Patient, what: str) -> list[Finding]:
    message = f"{what} answers at {patient.endpoint}, not TWS or IB Gateway"
    return fail(_NAME, str(FailureKind.NOT_A_GATEWAY), message, _with_ports(patient, FailureKind.NOT_A_GATEWAY))


def _verdict(patient: Patient, answer: ConnectionError | Greeting | None) -> list[Finding]:
    if isinstance(answer, NotTheApi):
        names = {Opening.HTTP: "a web server (HTTP)", Opening.SSH: "an SSH server"}
        return _is_other(patient, names.get(answer.opening, f"something that does not speak the API ({answer})"))
    if answer is None:
        message = f"{patient.endpoint} accepts, and says nothing for {patient.ibkr.timeout:g} s"
        return fail(_NAME, str(FailureKind.SILENT), message, patient.cure(FailureKind.SILENT))
    when = "before any byte" if isinstance(answer, SessionEnded) and not answer.any_byte else "in the handshake"
    message = f"{patient.endpoint} accepts, then closes {when}: {answer}"
    return fail(_NAME, str(FailureKind.CLOSED), message, _with_ports(patient, FailureKind.CLOSED))


def _with_ports(patient: Patient, kind: FailureKind) -> str:
    found = patient.other_ports
    hint = f" A gateway answers at {', '.join(map(str, found))}." if found else ""
    return patient.cure(kind) + hint


CHECK = Check(_NAME, "Peer", _look, needs=("port",))
