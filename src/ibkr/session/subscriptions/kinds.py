"""The table of all kinds of subscriptions. Message ids and codes are the same as in ibapi."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibkr.core.events import Key
from ibkr.core.states import Feed
from ibkr.session.library import Arguments, Library
from ibkr.session.subscriptions import bar_backfill
from ibkr.session.subscriptions.library_maps import IdAttribute, NoMap, PnLMap, SubscriberMap, TickerMap
from ibkr.session.subscriptions.subscription import Subscription, SubscriptionKind

if TYPE_CHECKING:
    from ib_async import Contract

_NO_SUCH_ID = frozenset({300})


def _symbol(contract: Contract) -> str:
    return contract.localSymbol or contract.symbol or f"contract {contract.conId}"


def _clear_book(library: Library, key: Key, sub: Subscription) -> Arguments:
    """Clear the order book, because the gateway sends it again from the first row."""
    if sub.obj is not None:
        library.wrapper.clear_book(sub.obj)
    return sub.arguments


def _names(*values: object) -> str:
    return " ".join(str(value) for value in values if value)


KINDS = (
    SubscriptionKind(
        "market data",
        "reqMktData",
        "cancelMktData",
        TickerMap(lambda _: "mktData"),
        lambda arguments: _symbol(arguments["contract"]),
        feed=Feed.MARKET,
        has_data_type=True,
        is_pending_ticker=True,
        answers={"1": 2, "2": 2, "21": 1, "45": 2, "46": 2, "47": 2, "57": 2, "58": 2, "81": 1, "84": 1},
        not_found_codes=_NO_SUCH_ID,
        is_stream=lambda arguments: not arguments["snapshot"] and not arguments["regulatorySnapshot"],
    ),
    SubscriptionKind(
        "tick-by-tick",
        "reqTickByTickData",
        "cancelTickByTickData",
        TickerMap(lambda arguments: str(arguments["tickType"])),
        lambda arguments: f"{_symbol(arguments['contract'])} tick-by-tick {arguments['tickType']}",
        feed=Feed.MARKET,
        answers={"96": 1, "97": 1, "98": 1, "99": 1},
        not_found_codes=_NO_SUCH_ID,
    ),
    SubscriptionKind(
        "depth",
        "reqMktDepth",
        "cancelMktDepth",
        TickerMap(lambda _: "mktDepth"),
        lambda arguments: f"{_symbol(arguments['contract'])} depth",
        feed=Feed.MARKET,
        answers={"12": 2, "13": 2},
        not_found_codes=frozenset({300, 310}),
        cancel_arguments=lambda arguments: {"isSmartDepth": arguments["isSmartDepth"]},
        prepare=_clear_book,
    ),
    SubscriptionKind(
        "real-time bars",
        "reqRealTimeBars",
        "cancelRealTimeBars",
        SubscriberMap(),
        lambda arguments: f"{_symbol(arguments['contract'])} real-time bars {arguments['whatToShow']}",
        feed=Feed.MARKET,
        answers={"50": 2},
        not_found_codes=_NO_SUCH_ID,
    ),
    SubscriptionKind(
        "historical bars",
        "reqHistoricalData",
        "cancelHistoricalData",
        SubscriberMap(),
        lambda arguments: (
            f"{_symbol(arguments['contract'])} bars of {arguments['barSizeSetting']} {arguments['whatToShow']}"
        ),
        feed=Feed.HISTORY,
        answers={"17": 1, "90": 1},
        not_found_codes=frozenset({162, 366}),
        is_stream=lambda arguments: bool(arguments["keepUpToDate"]),  # otherwise it is a one-time request
        prepare=bar_backfill.prepare,
        answered=bar_backfill.merge,
    ),
    SubscriptionKind(
        "scanner",
        "reqScannerSubscription",
        "cancelScannerSubscription",
        SubscriberMap(),
        lambda arguments: f"scanner {arguments['subscription'].scanCode}",
        feed=Feed.HISTORY,
        answers={"20": 2},
        not_found_codes=frozenset({162, 365}),
    ),
    SubscriptionKind(
        "PnL",
        "reqPnL",
        "cancelPnL",
        PnLMap("reqId2PnL", "pnlKey2ReqId"),
        lambda arguments: f"PnL of {_names(*arguments.values())}",
        answers={"94": 1},
        not_found_codes=_NO_SUCH_ID,
    ),
    SubscriptionKind(
        "PnL single",
        "reqPnLSingle",
        "cancelPnLSingle",
        PnLMap("reqId2PnlSingle", "pnlSingleKey2ReqId"),
        lambda arguments: f"PnL of {_names(*arguments.values())}",
        answers={"95": 1},
        not_found_codes=_NO_SUCH_ID,
    ),
    # IB streams the updates of one account at a time. A request for another account ends the earlier updates (2100).
    SubscriptionKind(
        "account updates",
        "reqAccountUpdates",
        "",
        NoMap(),
        lambda arguments: f"account updates of {arguments['acctCode']}",
        has_id=False,
        answers={"6": 0, "7": 0, "8": 0, "54": 0},
        awaited="accountValues",
        is_stream=lambda arguments: bool(arguments["subscribe"]),  # with False, the same method cancels
    ),
    SubscriptionKind(
        "account updates multi",
        "reqAccountUpdatesMulti",
        "cancelAccountUpdatesMulti",
        NoMap(),
        lambda arguments: f"account updates of {_names(arguments['account'], arguments['modelCode']) or 'all'}",
        answers={"73": 2, "74": 2},
    ),
    SubscriptionKind(
        "account summary",
        "reqAccountSummary",
        "cancelAccountSummary",
        NoMap(),
        lambda arguments: f"account summary of {arguments['groupName']}",
        answers={"63": 2, "64": 2},
    ),
    SubscriptionKind(
        "news bulletins",
        "reqNewsBulletins",
        "cancelNewsBulletins",
        NoMap(),
        lambda _: "news bulletins",
        answers={},
        has_id=False,
    ),
    SubscriptionKind(
        "WSH meta data",
        "reqWshMetaData",
        "cancelWshMetaData",
        IdAttribute("wshMetaReqId"),
        lambda _: "WSH meta data",
        answers={"104": 1},
    ),
    SubscriptionKind(
        "WSH events",
        "reqWshEventData",
        "cancelWshEventData",
        IdAttribute("wshEventReqId"),
        lambda _: "WSH events",
        answers={"105": 1},
    ),
    # Subscriptions that concern the windows of TWS. For these, the library has methods only in its low-level client.
    SubscriptionKind(
        "display group",
        "subscribeToGroupEvents",
        "unsubscribeFromGroupEvents",
        NoMap(),
        lambda arguments: f"display group {arguments['groupId']}",
        answers={"68": 2},
        keeps_id=True,
    ),
    SubscriptionKind(
        "auto open orders",
        "reqAutoOpenOrders",
        "",
        NoMap(),
        lambda arguments: f"auto open orders {'on' if arguments['bAutoBind'] else 'off'}",
        answers={},
        has_id=False,
    ),
)

BY_REQUEST = {kind.request: kind for kind in KINDS}
BY_CANCEL = {kind.cancel: kind for kind in KINDS if kind.cancel}
ANSWERS = {kind.name: kind.answers for kind in KINDS}
