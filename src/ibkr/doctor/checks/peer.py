"""The peer: a gateway, or something else that has the port, or nothing behind a forwarder?

Many a program is mute until it is spoken to in its own way: each opening goes over a connection of its own.
"""

from __future__ import annotations

import asyncio
import time

from ibkr.core.errors import Failure, FailureKind
from ibkr.doctor.api import Greeting, NotTheApi, SessionEnded, dialled
from ibkr.doctor.check import Check, fail, ok
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient
from ibkr.runtime.peer import look_at_peer

_NAME = "peer"
_PATIENCE = 0.2
"""Seconds after which a peer that has not answered the hello is spoken to in other ways."""
_LOOK = 1.0


async def _look(patient: Patient) -> list[Finding]:
    began = time.monotonic()
    hello = asyncio.create_task(_hello(patient))
    others: asyncio.Task[Failure | None] | None = None
    try:
        await asyncio.wait({hello}, timeout=_PATIENCE)
        if hello.done() and isinstance(greeting := hello.result(), Greeting):
            patient.greeting = greeting
            return ok(_NAME, f"a gateway ({1000 * (time.monotonic() - began):.0f} ms)")
        others = asyncio.create_task(_other(patient))
        await asyncio.wait({hello, others}, return_when=asyncio.FIRST_COMPLETED)
        if others.done() and (other := others.result()) is not None:
            return _is_other(patient, other)
        answer = await hello
        if isinstance(answer, Greeting):
            patient.greeting = answer
            return ok(_NAME, f"a gateway, which took {time.monotonic() - began:.1f} s to answer")
        # Again, now that the first connection is closed: some servers serve one client at a time.
        found = await others or (await _other(patient) if answer is None else None)
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


async def _other(patient: Patient) -> Failure | None:
    """What the peer is in another protocol's words; None where nothing tells in time."""
    try:
        async with asyncio.timeout(_LOOK):
            return await look_at_peer(patient.address, patient.ibkr.port)
    except TimeoutError:
        return None


def _is_other(patient: Patient, failure: Failure) -> list[Finding]:
    message = f"{patient.endpoint}: {failure.detail}"
    return fail(_NAME, str(FailureKind.NOT_A_GATEWAY), message, _with_ports(patient, FailureKind.NOT_A_GATEWAY))


def _verdict(patient: Patient, answer: ConnectionError | Greeting | None) -> list[Finding]:
    if isinstance(answer, NotTheApi):
        return _is_other(patient, answer.failure)
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
