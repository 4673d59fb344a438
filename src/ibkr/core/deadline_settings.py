"""``Deadlines``: how long a one-shot request may stay unanswered. The table ``[ibkr.deadlines]``."""

from __future__ import annotations

import math

from ibkr.core.errors import ConfigError
from ibkr.core.frozen_record import FrozenRecord, ValidatedRecord


class Deadlines(ValidatedRecord):
    """Seconds from the sending of a request to its ``TimeoutError``, by kind. ``None`` (``"off"`` in a file): no limit.

    Raises:
        ConfigError: A number is not valid.
    """

    reference: float | None = 30.0
    """Contract details, symbols, exchanges, market rules, news, and requests without a kind of their own."""
    account: float | None = 30.0
    """Positions, orders, executions, account values, what-if orders. Start-up requests are not included."""
    snapshot: float | None = 30.0
    """Snapshots of market data."""
    history: float | None = 120.0
    """Historical bars, ticks, schedules, histograms, head timestamps, and the first answer of scanners."""
    option_chains: float | None = 120.0
    """``reqSecDefOptParams``."""

    def check(self) -> None:
        for name in self.__match_args__:
            seconds = getattr(self, name)
            is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
            if seconds is not None and not (is_number and 0 < seconds < math.inf):
                raise ConfigError(f"ibkr.deadlines.{name}", seconds, 'must be greater than 0, or "off"')


OFF = Deadlines(None, None, None, None, None)


class OneShotRequest(FrozenRecord):
    """A one-shot request: its name, the kind of its deadline, and the client's method that cancels it."""

    name: str
    kind: str = "reference"
    cancel: str = ""


_REQUESTS = {
    "1": OneShotRequest("a snapshot", "snapshot", "cancelMktData"),
    "3": OneShotRequest("whatIfOrder", "account"),
    "5": OneShotRequest("reqOpenOrders", "account"),
    "6": OneShotRequest("reqAccountUpdates", "account"),
    "7": OneShotRequest("reqExecutions", "account"),
    "9": OneShotRequest("reqContractDetails"),
    "16": OneShotRequest("reqAllOpenOrders", "account"),
    "18": OneShotRequest("requestFA"),
    "20": OneShotRequest("reqHistoricalData", "history", "cancelHistoricalData"),
    "22": OneShotRequest("reqScannerSubscription", "history", "cancelScannerSubscription"),
    "24": OneShotRequest("reqScannerParameters"),
    "52": OneShotRequest("reqFundamentalData", "reference", "cancelFundamentalData"),
    "54": OneShotRequest("calculateImpliedVolatility"),
    "55": OneShotRequest("calculateOptionPrice"),
    "61": OneShotRequest("reqPositions", "account"),
    "62": OneShotRequest("reqAccountSummary", "account"),
    "76": OneShotRequest("reqAccountUpdatesMulti", "account"),
    "78": OneShotRequest("reqSecDefOptParams", "option_chains"),
    "81": OneShotRequest("reqMatchingSymbols"),
    "82": OneShotRequest("reqMktDepthExchanges"),
    "83": OneShotRequest("reqSmartComponents"),
    "84": OneShotRequest("reqNewsArticle"),
    "85": OneShotRequest("reqNewsProviders"),
    "86": OneShotRequest("reqHistoricalNews"),
    "87": OneShotRequest("reqHeadTimeStamp", "history", "cancelHeadTimeStamp"),
    "88": OneShotRequest("reqHistogramData", "history", "cancelHistogramData"),
    "91": OneShotRequest("reqMarketRule"),
    "96": OneShotRequest("reqHistoricalTicks", "history"),
    "99": OneShotRequest("reqCompletedOrders", "account"),
    "100": OneShotRequest("reqWshMetaData", "reference", "cancelWshMetaData"),
    "102": OneShotRequest("reqWshEventData", "reference", "cancelWshEventData"),
    "104": OneShotRequest("reqUserInfo"),
}
"""By the message id of ibapi."""

_BY_NAME = {request.name: request for request in _REQUESTS.values()}


def request_named(name: str) -> OneShotRequest:
    """The one-shot request with this name."""
    return _BY_NAME.get(name) or OneShotRequest(name)


def one_shot_request(message: str) -> OneShotRequest:
    """Return the one-shot request that this message sends."""
    message_id = message.partition("\0")[0]
    return _REQUESTS.get(message_id) or OneShotRequest(f"request {message_id}")
