"""What of the client library is replaced on our ``IB`` object, because it stands in the way, with each reason."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ibkr.session.backend import backend_of
from ibkr.session.packages import tell_of_two_eventkits
from ibkr.session.telling import Subdued

logger = logging.getLogger("ibkr.session")


def tame(ib: Any) -> Callable[[], None]:
    """Replace what needs no knowledge of the connection; returns the library's own ``setEventsDone``."""
    client, wrapper, conn = ib.client, ib.wrapper, ib.client.conn
    client._logger = Subdued(client._logger, {})
    # An EOF ends the socket even if it still holds bytes that the peer will never read.
    conn.eof_received = lambda: conn.transport and conn.transport.abort()
    # The library's own raises when the peer has reset the connection a moment before.
    conn.disconnect = lambda: hang_up(conn, abort=False)
    # Unsolicited rows raise KeyError there.
    completed_order = wrapper.completedOrder
    wrapper.completedOrder = lambda *row: "completedOrders" in wrapper._results and completed_order(*row)
    wrapper.updateMktDepthL2 = _rows_of_now(wrapper)
    # Its only work is to ask for the account summary at each 1102, a subscription more every time.
    ib.errorEvent.disconnect(ib._onError)
    # Streams go on after a loss, so they are not done with it.
    backend_of(ib).adapt(ib)
    tell_of_two_eventkits()
    set_events_done: Callable[[], None] = wrapper.setEventsDone
    wrapper.setEventsDone = lambda: None
    return set_events_done


def say_goodbye(conn: Any) -> None:
    """End the library's socket as far as we write to it, behind what was written; the peer ends the rest.

    Closed at once, what the gateway still sends would make the system reset the connection, and the gateway lose the
    orders that it has not read yet.
    """
    transport = conn.transport
    if transport is None:
        return
    try:
        transport.write_eof()
        if not transport.is_reading():  # the end would not be seen
            transport.resume_reading()
    except OSError:
        logger.debug("the peer was gone before the socket could be closed in good order", exc_info=True)
        transport.abort()


def hang_up(conn: Any, *, abort: bool) -> None:
    """End the library's socket, now or in good order; nothing if there is none."""
    transport = conn.transport
    if transport is None:
        return
    try:
        if not abort:
            transport.write_eof()
            transport.close()
            return
    except OSError:
        logger.debug("the peer was gone before the socket could be closed in good order", exc_info=True)
    transport.abort()


def shut_down(ib: Any) -> None:
    """Have the system tell the peer that this was the end, without the loop that the socket belongs to."""
    transport = ib.client.conn.transport
    if transport is not None:
        with suppress(OSError):  # the gateway may have closed it long ago
            transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


def let_go(ib: Any) -> None:
    """In a forked process: put nothing in the place of the inherited socket, which would outlive its end otherwise.

    Closed under its transport, the descriptor's number could be another file's by the time that the transport goes.
    """
    transport = ib.client.conn.transport
    if transport is not None:
        with open(os.devnull, "r+b") as nothing:
            os.dup2(nothing.fileno(), transport.get_extra_info("socket").fileno(), inheritable=False)


def forget_loop(ib: Any) -> None:
    """Free the ``IB`` object of a loop that is gone, so that another one can begin anew."""
    client, wrapper = ib.client, ib.wrapper
    client.reset()
    client.conn.reset()
    wrapper._futures.clear()
    wrapper._timeoutHandle = None
    wrapper.reset()


def _rows_of_now(wrapper: Any) -> Callable[..., None]:
    """Rows of a book that was cancelled a moment ago belong to no other, and raise ``KeyError`` there."""
    update: Callable[..., None] = wrapper.updateMktDepthL2

    def row(req_id: int, *fields: Any) -> None:
        ticker = wrapper.reqId2Ticker.get(req_id)
        if ticker is not None and wrapper.ticker2ReqId["mktDepth"].get(ticker) == req_id:
            update(req_id, *fields)

    return row
