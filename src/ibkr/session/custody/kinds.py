"""The table of all that can be subscribed to. Message ids and codes are those of ibapi."""

from __future__ import annotations

from typing import Any

from ibkr.core.state import Feed
from ibkr.session.backend import backend_of
from ibkr.session.custody import bars
from ibkr.session.custody.homes import InAttribute, InProfits, InSubscribers, InTickers, Nowhere
from ibkr.session.custody.kind import Arguments, Held, Kind

_NO_SUCH_ID = frozenset({300})


def _symbol(contract: Any) -> str:
    return contract.localSymbol or contract.symbol or f"contract {contract.conId}"


def _clear_book(wrapper: Any, key: Any, held: Held) -> Arguments:
    """The gateway begins with the first row again."""
    if held.thing is not None:
        for side in backend_of(wrapper).books_of(held.thing):
            side.clear()
    return held.arguments


KINDS = (
    Kind(
        "market data",
        "reqMktData",
        "cancelMktData",
        InTickers(lambda _: "mktData"),
        lambda arguments: _symbol(arguments[0]),
        feed=Feed.MARKET,
        is_watched=True,
        has_data_type=True,
        answers={"1": 2, "2": 2, "21": 1, "45": 2, "46": 2, "47": 2, "57": 2, "58": 2, "81": 1, "84": 1},
        gone=_NO_SUCH_ID,
        stands=lambda arguments: not arguments[2] and not arguments[3],  # a snapshot, or a regulatory one
    ),
    Kind(
        "tick-by-tick",
        "reqTickByTickData",
        "cancelTickByTickData",
        InTickers(lambda arguments: str(arguments[1])),
        lambda arguments: f"{_symbol(arguments[0])} tick-by-tick {arguments[1]}",
        feed=Feed.MARKET,
        answers={"96": 1, "97": 1, "98": 1, "99": 1},
        gone=_NO_SUCH_ID,
    ),
    Kind(
        "depth",
        "reqMktDepth",
        "cancelMktDepth",
        InTickers(lambda _: "mktDepth"),
        lambda arguments: f"{_symbol(arguments[0])} depth",
        feed=Feed.MARKET,
        answers={"12": 2, "13": 2},
        gone=frozenset({300, 310}),
        cancel_arguments=lambda arguments: (arguments[2],),  # whether it is smart depth
        prepare=_clear_book,
    ),
    Kind(
        "real-time bars",
        "reqRealTimeBars",
        "cancelRealTimeBars",
        InSubscribers(),
        lambda arguments: f"{_symbol(arguments[0])} real-time bars {arguments[2]}",
        feed=Feed.MARKET,
        answers={"50": 2},
        gone=_NO_SUCH_ID,
    ),
    Kind(
        "historical bars",
        "reqHistoricalData",
        "cancelHistoricalData",
        InSubscribers(),
        lambda arguments: f"{_symbol(arguments[0])} bars of {arguments[3]} {arguments[4]}",
        feed=Feed.HISTORY,
        is_watched=True,
        answers={"17": 1, "90": 1},
        gone=frozenset({162, 366}),
        stands=lambda arguments: bool(arguments[7]),  # kept up to date
        prepare=bars.prepare,
        answered=bars.answered,
    ),
    Kind(
        "scanner",
        "reqScannerSubscription",
        "cancelScannerSubscription",
        InSubscribers(),
        lambda arguments: f"scanner {arguments[0].scanCode}",
        feed=Feed.HISTORY,
        answers={"20": 2},
        gone=frozenset({162, 365}),
    ),
    Kind(
        "PnL",
        "reqPnL",
        "cancelPnL",
        InProfits("reqId2PnL", "pnlKey2ReqId"),
        lambda arguments: f"PnL of {' '.join(filter(None, arguments))}",
        answers={"94": 1},
        gone=_NO_SUCH_ID,
    ),
    Kind(
        "PnL single",
        "reqPnLSingle",
        "cancelPnLSingle",
        InProfits("reqId2PnlSingle", "pnlSingleKey2ReqId"),
        lambda arguments: f"PnL of {' '.join(map(str, filter(None, arguments)))}",
        answers={"95": 1},
        gone=_NO_SUCH_ID,
    ),
    # IB streams one account's updates at a time: asking for another's ends them (2100).
    Kind(
        "account updates",
        "reqAccountUpdates",
        "",
        Nowhere(),
        lambda arguments: f"account updates of {arguments[1]}",
        has_id=False,
        answers={"6": 0, "7": 0, "8": 0, "54": 0},
        awaited="accountValues",
        stands=lambda arguments: bool(arguments[0]),  # the same method, with False, cancels
    ),
    Kind(
        "account updates multi",
        "reqAccountUpdatesMulti",
        "cancelAccountUpdatesMulti",
        Nowhere(),
        lambda arguments: f"account updates of {' '.join(filter(None, arguments[:2])) or 'all'}",
        answers={"73": 2, "74": 2},
    ),
    Kind(
        "account summary",
        "reqAccountSummary",
        "cancelAccountSummary",
        Nowhere(),
        lambda arguments: f"account summary of {arguments[0]}",
        answers={"63": 2, "64": 2},
    ),
    Kind(
        "news bulletins",
        "reqNewsBulletins",
        "cancelNewsBulletins",
        Nowhere(),
        lambda _: "news bulletins",
        answers={},
        has_id=False,
    ),
    Kind(
        "WSH meta data",
        "reqWshMetaData",
        "cancelWshMetaData",
        InAttribute("wshMetaReqId"),
        lambda _: "WSH meta data",
        answers={"104": 1},
    ),
    Kind(
        "WSH events",
        "reqWshEventData",
        "cancelWshEventData",
        InAttribute("wshEventReqId"),
        lambda _: "WSH events",
        answers={"105": 1},
    ),
    # The gateway's own windows; the library has no more than the client's methods for them.
    Kind(
        "display group",
        "subscribeToGroupEvents",
        "unsubscribeFromGroupEvents",
        Nowhere(),
        lambda arguments: f"display group {arguments[0]}",
        answers={"68": 2},
        keeps_id=True,
    ),
    Kind(
        "auto open orders",
        "reqAutoOpenOrders",
        "",
        Nowhere(),
        lambda arguments: f"auto open orders {'on' if arguments[0] else 'off'}",
        answers={},
        has_id=False,
    ),
)

NOTICES = frozenset({"57", "58", "81", "84"})
"""Messages that answer a request for market data, but bring none."""
