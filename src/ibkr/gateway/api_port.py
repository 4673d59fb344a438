"""The state of the gateway's API port and its working orders, as the supervisor's own connection sees them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ibkr.connector import IBConnector
from ibkr.core.errors import ConnectError, FailureKind
from ibkr.core.restart_policy import PortState
from ibkr.core.states import ConnectionState, SessionState, UpstreamState
from ibkr.core.status import Status

_ORDERS_TIMEOUT = 5.0
_CONNECT_TIMEOUT = 2.0
_RECONNECT_AFTER = 60.0
_ENDED_STATES = (ConnectionState.DISCONNECTED, ConnectionState.FAILED)


def api_port_state(status: Status, *, closed_is_refused: bool = False) -> PortState:
    """Return the state of the API port, from the status of a connection to it.

    Args:
        status: The status of a connection to the gateway.
        closed_is_refused: Whether a port forwarder is in front of the gateway, as in the usual container. If the
            gateway does not listen, the forwarder accepts each connection and then closes it.
    """
    if status.session in (SessionState.UP, SessionState.SUSPECT):
        return PortState.UPSTREAM_DOWN if status.upstream is UpstreamState.DOWN else PortState.UP
    if status.failure is None or status.failure.unknown_host:
        return PortState.UNKNOWN
    states = {FailureKind.UNREACHABLE: PortState.REFUSED, FailureKind.SILENT: PortState.SILENT}
    if closed_is_refused:
        states[FailureKind.CLOSED] = PortState.REFUSED
    return states.get(status.failure.kind, PortState.ANSWERS)


async def count_working_orders(connector: IBConnector) -> int:
    """Count the working orders of all programs at the broker. If the gateway does not answer, assume one."""
    try:
        async with asyncio.timeout(_ORDERS_TIMEOUT):
            trades = await connector.ib.reqAllOpenOrdersAsync()
    except (TimeoutError, ConnectionError):
        return 1
    return sum(not trade.isDone() for trade in trades)


async def is_port_open(host: str, port: int) -> bool:
    """Whether something listens at this port."""
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


async def keep_session(connector: IBConnector) -> None:
    """Keep a session open forever. It shows whether the gateway answers and which orders work."""
    while True:
        with suppress(ConnectError):  # the status has the reason
            await connector.connect_async(wait=True)
        async for status in connector.changes():
            if status.state in _ENDED_STATES:
                break
        await asyncio.sleep(_RECONNECT_AFTER)
