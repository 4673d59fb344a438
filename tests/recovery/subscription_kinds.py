"""Every kind of subscription: how to request it, how to see that it updates, how to cancel it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from eventkit import Event
from ib_async import IB, ScannerSubscription, WshEventData

from tests.fixture_types import AAPL

from .order_helpers import ACCOUNT

OTHER = "DU7654321"
"""Another account of the login."""


@dataclass(frozen=True)
class Case:
    """One kind: how to request it, how to see in the object that it updates, how to cancel it."""

    name: str
    request: str
    ask: Callable[[IB], Any]
    cancel: Callable[[IB, Any], Any]
    event: Callable[[IB, Any], Any] = lambda ib, thing: thing.updateEvent
    fits: Callable[..., bool] = lambda *_: True
    """Whether an event belongs to this subscription."""
    is_told_once: bool = False
    """Whether updates come only after a request."""
    cancels: bool = True
    """Whether the library has a cancel for it."""
    keeps_id: bool = False


def _scan() -> ScannerSubscription:
    return ScannerSubscription(instrument="STK", locationCode="STK.US.MAJOR", scanCode="TOP_PERC_GAIN")


def _bars(ib: IB) -> Coroutine[Any, Any, Any]:
    return ib.reqHistoricalDataAsync(AAPL, "", "1800 S", "5 secs", "TRADES", useRTH=False, keepUpToDate=True)


def _group(ib: IB) -> Any:
    """A display group: the wrapper has no method for its message, so a program adds its own."""
    told = Event("told")
    ib.wrapper.displayGroupUpdated = told.emit  # type: ignore[attr-defined]
    req_id = ib.client.getReqId()
    ib.client.subscribeToGroupEvents(req_id, 1)
    return SimpleNamespace(event=told, req_id=req_id)


CASES = {
    case.name: case
    for case in (
        Case(
            "market data",
            "reqMktData",
            lambda ib: ib.reqMktData(AAPL, "233"),
            lambda ib, _: ib.cancelMktData(AAPL),
        ),
        Case(
            "tick-by-tick",
            "reqTickByTickData",
            lambda ib: ib.reqTickByTickData(AAPL, "BidAsk"),
            lambda ib, _: ib.cancelTickByTickData(AAPL, "BidAsk"),
        ),
        Case(
            "depth",
            "reqMktDepth",
            lambda ib: ib.reqMktDepth(AAPL, 5, True),
            lambda ib, _: ib.cancelMktDepth(AAPL, True),
        ),
        Case(
            "real-time bars",
            "reqRealTimeBars",
            lambda ib: ib.reqRealTimeBars(AAPL, 5, "TRADES", False),
            lambda ib, bars: ib.cancelRealTimeBars(bars),
        ),
        Case("historical bars", "reqHistoricalData", _bars, lambda ib, bars: ib.cancelHistoricalData(bars)),
        Case(
            "scanner",
            "reqScannerSubscription",
            lambda ib: ib.reqScannerSubscription(_scan()),
            lambda ib, found: ib.cancelScannerSubscription(found),
            is_told_once=True,
        ),
        Case(
            "PnL",
            "reqPnL",
            lambda ib: ib.reqPnL(ACCOUNT),
            lambda ib, _: ib.cancelPnL(ACCOUNT),
            lambda ib, _: ib.pnlEvent,
        ),
        Case(
            "PnL single",
            "reqPnLSingle",
            lambda ib: ib.reqPnLSingle(ACCOUNT, "", AAPL.conId),
            lambda ib, _: ib.cancelPnLSingle(ACCOUNT, "", AAPL.conId),
            lambda ib, _: ib.pnlSingleEvent,
        ),
        Case(
            "account updates",
            "reqAccountUpdates",
            lambda ib: ib.reqAccountUpdatesAsync(OTHER),
            lambda ib, _: ib.client.reqAccountUpdates(False, OTHER),
            lambda ib, _: ib.accountValueEvent,
            fits=lambda value: value.account == OTHER,
            is_told_once=True,
        ),
        Case(
            "account updates multi",
            "reqAccountUpdatesMulti",
            lambda ib: ib.reqAccountUpdatesMultiAsync(OTHER, "MODEL"),
            lambda ib, _: None,
            lambda ib, _: ib.accountValueEvent,
            cancels=False,
            fits=lambda value: value.account == OTHER,
            is_told_once=True,
        ),
        Case(
            "account summary",
            "reqAccountSummary",
            lambda ib: ib.reqAccountSummaryAsync(),
            lambda ib, _: None,
            lambda ib, _: ib.accountSummaryEvent,
            cancels=False,
            is_told_once=True,
        ),
        Case(
            "news bulletins",
            "reqNewsBulletins",
            lambda ib: ib.reqNewsBulletins(True),
            lambda ib, _: ib.cancelNewsBulletins(),
            lambda ib, _: ib.newsBulletinEvent,
            is_told_once=True,
        ),
        Case(
            "display group",
            "subscribeToGroupEvents",
            _group,
            lambda ib, group: ib.client.unsubscribeFromGroupEvents(group.req_id),
            lambda _, group: group.event,
            is_told_once=True,
            keeps_id=True,
        ),
        Case(
            "WSH meta data",
            "reqWshMetaData",
            lambda ib: ib.reqWshMetaData(),
            lambda ib, _: ib.cancelWshMetaData(),
            lambda ib, _: ib.wshMetaEvent,
            is_told_once=True,
        ),
        Case(
            "WSH events",
            "reqWshEventData",
            lambda ib: ib.reqWshEventData(WshEventData(conId=AAPL.conId)),
            lambda ib, _: ib.cancelWshEventData(),
            lambda ib, _: ib.wshEvent,
            is_told_once=True,
        ),
    )
}
