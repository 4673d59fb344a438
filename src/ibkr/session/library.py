"""What of the client library is replaced on our ``IB`` object because it stands in the way, with each reason.

Its socket is ``socket.py``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ibkr.session.backend import backend_of
from ibkr.session.packages import tell_of_two_eventkits
from ibkr.session.telling import Subdued


def tame(ib: Any) -> Callable[[], None]:
    """Replace what needs no knowledge of the connection; returns the library's own ``setEventsDone``."""
    client, wrapper = ib.client, ib.wrapper
    client._logger = Subdued(client._logger, {})
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


def keep_connected(ib: Any, disconnect: Callable[[], bool]) -> None:
    """Leave connecting to the connector: ``ib.connect`` raises with the cure, ``ib.disconnect`` is the connector's."""

    def refuse(*_args: object, **_options: object) -> NoReturn:
        raise RuntimeError(
            "this IB object is kept connected by an IBConnector: call connector.connect() or, in a running loop,"
            " 'await connector.connect_async()' instead of ib.connect()"
        )

    ib.connect = ib.connectAsync = refuse
    ib.disconnect = disconnect


def _rows_of_now(wrapper: Any) -> Callable[..., None]:
    """Rows of a book that was cancelled a moment ago belong to no other, and raise ``KeyError`` there."""
    update: Callable[..., None] = wrapper.updateMktDepthL2

    def row(req_id: int, *fields: Any) -> None:
        ticker = wrapper.reqId2Ticker.get(req_id)
        if ticker is not None and wrapper.ticker2ReqId["mktDepth"].get(ticker) == req_id:
            update(req_id, *fields)

    return row
