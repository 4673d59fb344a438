"""The table of all that can be subscribed to. Message ids and codes are those of ibapi."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibkr.core.facts import Key
from ibkr.core.state import Feed
from ibkr.session.library import Arguments, Library
from ibkr.session.subscriptions import bars
from ibkr.session.subscriptions.library_maps import InAttribute, InPnL, InSubscribers, InTickers, Nowhere
from ibkr.session.subscriptions.subscription import Kind, Subscription

if TYPE_CHECKING:
    from ib_async import Contract

_NO_SUCH_ID = frozenset({300})


def _symbol(contract: Contract) -> str:
    return contract.localSymbol or contract.symbol or f"contract {contract.conId}"


def _clear_book(library: Library, key: Key, sub: Subscription) -> Arguments:
    """The gateway begins with the first row again."""
    if sub.obj is not None:
        library.wrapper.clear_book(sub.obj)
    return sub.arguments


def _names(*values: object) -> str:
    return " ".join(str(value) for value in values if value)


KINDS = (
    Kind(
        "market data",
        "reqMktData",
        "cancelMktData",
        InTickers(lambda _: "mktData"),
        lambda arguments: _symbol(arguments["contract"]),
        feed=Feed.MARKET,
        is_watched=True,
        has_data_type=True,
        answers={"1": 2, "2": 2, "21": 1, "45": 2, "46": 2, "47": 2, "57": 2, "58": 2, "81": 1, "84": 1},
        gone=_NO_SUCH_ID,
        is_stream=lambda arguments: not arguments["snapshot"] and not arguments["regulatorySnapshot"],
    ),
    Kind(
        "tick-by-tick",
        "reqTickByTickData",
        "cancelTickByTickData",
        InTickers(lambda arguments: str(arguments["tickType"])),
        lambda arguments: f"{_symbol(arguments['contract'])} tick-by-tick {arguments['tickType']}",
        feed=Feed.MARKET,
        answers={"96": 1, "97": 1, "98": 1, "99": 1},
        gone=_NO_SUCH_ID,
    ),
    Kind(
        "depth",
        "reqMktDepth",
        "cancelMktDepth",
        InTickers(lambda _: "mktDepth"),
        lambda arguments: f"{_symbol(arguments['contract'])} depth",
        feed=Feed.MARKET,
        answers={"12": 2, "13": 2},
        gone=frozenset({300, 310}),
        cancel_arguments=lambda arguments: {"isSmartDepth": arguments["isSmartDepth"]},
        prepare=_clear_book,
    ),
    Kind(
        "real-time bars",
        "reqRealTimeBars",
        "cancelRealTimeBars",
        InSubscribers(),
        lambda arguments: f"{_symbol(arguments['contract'])} real-time bars {arguments['whatToShow']}",
        feed=Feed.MARKET,
        answers={"50": 2},
        gone=_NO_SUCH_ID,
    ),
    Kind(
        "historical bars",
        "reqHistoricalData",
        "cancelHistoricalData",
        InSubscribers(),
        lambda arguments: (
            f"{_symbol(arguments['contract'])} bars of {arguments['barSizeSetting']} {arguments['whatToShow']}"
        ),
        feed=Feed.HISTORY,
        is_watched=True,
        answers={"17": 1, "90": 1},
        gone=frozenset({162, 366}),
        is_stream=lambda arguments: bool(arguments["keepUpToDate"]),  # kept up to date
        prepare=bars.prepare,
        answered=bars.answered,
    ),
    Kind(
        "scanner",
        "reqScannerSubscription",
        "cancelScannerSubscription",
        InSubscribers(),
        lambda arguments: f"scanner {arguments['subscription'].scanCode}",
        feed=Feed.HISTORY,
        answers={"20": 2},
        gone=frozenset({162, 365}),
    ),
    Kind(
        "PnL",
        "reqPnL",
        "cancelPnL",
        InPnL("reqId2PnL", "pnlKey2ReqId"),
        lambda arguments: f"PnL of {_names(*arguments.values())}",
        answers={"94": 1},
        gone=_NO_SUCH_ID,
    ),
    Kind(
        "PnL single",
        "reqPnLSingle",
        "cancelPnLSingle",
        InPnL("reqId2PnlSingle", "pnlSingleKey2ReqId"),
        lambda arguments: f"PnL of {_names(*arguments.values())}",
        answers={"95": 1},
        gone=_NO_SUCH_ID,
    ),
    # IB streams one account's updates at a time: asking for another's ends them (2100).
    Kind(
        "account updates",
        "reqAccountUpdates",
        "",
        Nowhere(),
        lambda arguments: f"account updates of {arguments['acctCode']}",
        has_id=False,
        answers={"6": 0, "7": 0, "8": 0, "54": 0},
        awaited="accountValues",
        is_stream=lambda arguments: bool(arguments["subscribe"]),  # the same method, with False, cancels
    ),
    Kind(
        "account updates multi",
        "reqAccountUpdatesMulti",
        "cancelAccountUpdatesMulti",
        Nowhere(),
        lambda arguments: f"account updates of {_names(arguments['account'], arguments['modelCode']) or 'all'}",
        answers={"73": 2, "74": 2},
    ),
    Kind(
        "account summary",
        "reqAccountSummary",
        "cancelAccountSummary",
        Nowhere(),
        lambda arguments: f"account summary of {arguments['groupName']}",
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
        lambda arguments: f"display group {arguments['groupId']}",
        answers={"68": 2},
        keeps_id=True,
    ),
    Kind(
        "auto open orders",
        "reqAutoOpenOrders",
        "",
        Nowhere(),
        lambda arguments: f"auto open orders {'on' if arguments['bAutoBind'] else 'off'}",
        answers={},
        has_id=False,
    ),
)

BY_REQUEST = {kind.request: kind for kind in KINDS}
BY_CANCEL = {kind.cancel: kind for kind in KINDS if kind.cancel}
ANSWERS = {kind.name: kind.answers for kind in KINDS}
