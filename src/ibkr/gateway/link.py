"""What the supervisor's own connection shows of the gateway's API port."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ibkr.connector import IBConnector
from ibkr.core.errors import ConnectError, FailureKind
from ibkr.core.restart import Link
from ibkr.core.state import ConnectionState, SessionState, UpstreamState
from ibkr.core.status import Status

_ORDERS_TIMEOUT = 5.0
_CONNECT_TIMEOUT = 2.0
_BEGIN_AGAIN = 60.0
_OVER = (ConnectionState.DISCONNECTED, ConnectionState.FAILED)


def link_of(status: Status, *, closed_is_refused: bool = False) -> Link:
    """What a connection's status says of the port.

    Args:
        status: of a connection to the gateway.
        closed_is_refused: a port forwarder stands before the gateway, as in the usual container: it accepts, then
            closes, where nothing is behind it.
    """
    if status.session in (SessionState.UP, SessionState.SUSPECT):
        return Link.UPSTREAM_DOWN if status.upstream is UpstreamState.DOWN else Link.UP
    kind = status.last_error.partition(": ")[0]
    if not kind:
        return Link.UNKNOWN
    links = {FailureKind.UNREACHABLE: Link.REFUSED, FailureKind.SILENT: Link.SILENT}
    if closed_is_refused:
        links[FailureKind.CLOSED] = Link.REFUSED
    return links.get(FailureKind(kind), Link.ANSWERS)


async def working_orders(connector: IBConnector) -> int:
    """How many orders work at the broker, those of all programs; 1 if the gateway does not tell."""
    try:
        async with asyncio.timeout(_ORDERS_TIMEOUT):
            trades = await connector.ib.reqAllOpenOrdersAsync()
    except (TimeoutError, ConnectionError):
        return 1
    return sum(not trade.isDone() for trade in trades)


async def is_open(host: str, port: int) -> bool:
    """Whether somebody listens at this port."""
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def hold(connector: IBConnector) -> None:
    """Keep a session, without end: it shows whether the gateway answers, and which orders work."""
    while True:
        with suppress(ConnectError):  # the status says why
            await connector.connect_async(wait=True)
        async for status in connector.changes():
            if status.state in _OVER:
                break
        await asyncio.sleep(_BEGIN_AGAIN)
