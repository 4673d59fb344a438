"""Checks of the peer: is it a gateway or another program, and which protocol version does it speak?

Many programs send nothing until a client speaks their own protocol. Each try uses a separate connection.
"""

from __future__ import annotations

import asyncio
import time

from ibkr.core.errors import Failure, FailureKind
from ibkr.doctor.api_client import ConnectionEnded, HandshakeReply, NotAGatewayError, open_connection
from ibkr.doctor.check import Check, Finding, fail, ok
from ibkr.doctor.context import Context
from ibkr.runtime.peer_probe import probe_peer

_QUICK_REPLY = 0.2
"""Seconds to wait for the reply to the hello before trying other protocols."""
_OTHER_PROTOCOL_TIMEOUT = 1.0


async def _check_peer(context: Context) -> list[Finding]:
    """Is it a gateway, another program, or a forwarder with nothing behind it?"""
    began = time.monotonic()
    hello = asyncio.create_task(_send_hello(context))
    others: asyncio.Task[Failure | None] | None = None
    try:
        await asyncio.wait({hello}, timeout=_QUICK_REPLY)
        if hello.done() and isinstance(reply := hello.result(), HandshakeReply):
            context.handshake_reply = reply
            return ok(f"a gateway ({1000 * (time.monotonic() - began):.0f} ms)")
        others = asyncio.create_task(_try_other_protocols(context))
        await asyncio.wait({hello, others}, return_when=asyncio.FIRST_COMPLETED)
        if others.done() and (other := others.result()) is not None:
            return _not_a_gateway(context, other)
        answer = await hello
        if isinstance(answer, HandshakeReply):
            context.handshake_reply = answer
            return ok(f"a gateway; it took {time.monotonic() - began:.1f} s to answer")
        # The first connection is closed now, so try again: some servers serve only one client at a time.
        found = await others or (await _try_other_protocols(context) if answer is None else None)
        return _not_a_gateway(context, found) if found else _no_reply(context, answer)
    finally:
        for task in filter(None, (hello, others)):
            task.cancel()
        await asyncio.gather(*filter(None, (hello, others)), return_exceptions=True)


async def _send_hello(context: Context) -> HandshakeReply | ConnectionError | None:
    """Do the handshake of the API. Returns the reply, the error, or ``None`` for silence."""
    seconds = context.ibkr.timeout
    try:
        async with open_connection(context.address, context.ibkr.port, seconds) as connection, asyncio.timeout(seconds):
            return (await connection.handshake(context.versions))[0]
    except TimeoutError:
        return None
    except ConnectionError as error:  # NotAGatewayError and ConnectionEnded are subclasses
        return error


async def _try_other_protocols(context: Context) -> Failure | None:
    """Return what the peer is, according to other protocols; ``None`` if no answer shows this in time."""
    try:
        async with asyncio.timeout(_OTHER_PROTOCOL_TIMEOUT):
            return await probe_peer(context.address, context.ibkr.port)
    except TimeoutError:
        return None


def _not_a_gateway(context: Context, failure: Failure) -> list[Finding]:
    kind = FailureKind.NOT_A_GATEWAY
    return fail(str(kind), f"{context.endpoint}: {failure.detail}", _advice(context, kind))


def _no_reply(context: Context, answer: ConnectionError | HandshakeReply | None) -> list[Finding]:
    if isinstance(answer, NotAGatewayError):
        return _not_a_gateway(context, answer.failure)
    if answer is None:
        message = f"{context.endpoint} accepts the connection, but sends nothing for {context.ibkr.timeout:g} s"
        return fail(str(FailureKind.SILENT), message, context.advice_for(FailureKind.SILENT))
    is_empty = isinstance(answer, ConnectionEnded) and not answer.received_any
    when = "before it sends a byte" if is_empty else "during the handshake"
    message = f"{context.endpoint} accepts the connection, then closes it {when}: {answer}"
    return fail(str(FailureKind.CLOSED), message, _advice(context, FailureKind.CLOSED))


def _advice(context: Context, kind: FailureKind) -> str:
    found = context.other_ports
    hint = f" A gateway answers on port {', '.join(map(str, found))}." if found else ""
    return context.advice_for(kind) + hint


async def _check_handshake(context: Context) -> list[Finding]:
    """Does the client library support the gateway's protocol version?"""
    reply = context.handshake_reply
    assert reply is not None, "the peer check runs first"
    oldest, newest = context.versions
    supported = f"the client library supports {oldest} to {newest}"
    if not oldest <= reply.version <= newest:
        message = f"the gateway speaks protocol version {reply.version}, {supported}"
        kind = FailureKind.UNSUPPORTED_VERSION
        return fail(str(kind), message, context.advice_for(kind))
    zone = reply.time.partition(" ")[2].partition(" ")[2] or "not known"
    return ok(f"protocol version {reply.version} ({supported}), time zone {zone}")


PEER = Check("peer", "Peer", _check_peer, needs=("port",))
HANDSHAKE = Check("handshake", "Handshake", _check_handshake, needs=("peer",))
