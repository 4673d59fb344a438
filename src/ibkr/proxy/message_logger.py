"""Logs messages for a person to read, one line each, and sorts them into categories."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Self

from ibkr.proxy.cleaning import CleanedMessage
from ibkr.proxy.connection_parser import ConnectionParser
from ibkr.proxy.message_catalog import ORDER_MESSAGES, STREAM_MESSAGES
from ibkr.proxy.personal_fields import words

log = logging.getLogger("ibkr.proxy")

_LONGEST = 200
_SESSION = words(
    """
    startApi managedAccounts nextValidId reqManagedAccts reqIds reqCurrentTime currentTime
    reqCurrentTimeInMillis currentTimeInMillis setServerLogLevel reqUserInfo userInfo reqConfig configResponse
    updateConfig
    """
)
_ACCOUNT = words(
    """
    reqAccountUpdates updateAccountValue updatePortfolio updateAccountTime accountDownloadEnd reqPositions
    position positionEnd cancelPositions reqAccountSummary accountSummary accountSummaryEnd cancelAccountSummary
    reqPositionsMulti positionMulti positionMultiEnd cancelPositionsMulti reqAccountUpdatesMulti
    accountUpdateMulti accountUpdateMultiEnd cancelAccountUpdatesMulti reqPnL reqPnLSingle pnl pnlSingle
    cancelPnL cancelPnLSingle reqFamilyCodes familyCodes requestFA receiveFA replaceFA replaceFAEnd
    reqSoftDollarTiers softDollarTiers
    """
)
CATEGORIES = ("session", "orders", "account", "data", "errors")
"""The categories of messages that can be shown."""


def category(name: str) -> str:
    """Return the category of messages of this name."""
    if name == "error":
        return "errors"
    if name in ORDER_MESSAGES:
        return "orders"
    if name in _SESSION:
        return "session"
    return "account" if name in _ACCOUNT else "data"


def check_categories(shown: Collection[str]) -> frozenset[str]:
    """Return the categories to show: all if none is given. Raises `ValueError` for an unknown category."""
    if unknown := set(shown) - set(CATEGORIES):
        raise ValueError(
            f"show: there is no category {', '.join(sorted(unknown))}; choose from: {', '.join(CATEGORIES)}"
        )
    return frozenset(shown or CATEGORIES)


def message_line(name: str, fields: Mapping[str, object] | None) -> str:
    """Return a message as one line: its name, and the fields that are not empty."""
    if fields is None:
        return f"{name} (its fields are not known)"
    text = " ".join([name, *_words(fields)])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _words(fields: Mapping[str, object]) -> Iterator[str]:
    for name, value in fields.items():
        if value is None or value == "" or value == []:
            continue
        if isinstance(value, Sequence) and not isinstance(value, str):
            yield f"{name}[{len(value)}]"
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            yield f"{name}={text if text.isprintable() else ascii(text)[1:-1]}"


class MessageLogger:
    """An observer that logs the messages of one connection, at INFO."""

    def __init__(self, number: int, shown: frozenset[str], *, wants_streams: bool) -> None:
        self._number = number
        self._shown = shown
        self.wants_streams = wants_streams

    @classmethod
    def template(cls, show: Collection[str], *, shows_streams: bool) -> Self:
        """Return an object whose `of` creates each connection's logger. Raises `ValueError` for an unknown category."""
        return cls(0, check_categories(show), wants_streams=shows_streams)

    def of(self, number: int) -> "MessageLogger":
        """Return a logger with the same options for another connection."""
        return MessageLogger(number, self._shown, wants_streams=self.wants_streams)

    def on_open(self, parser: ConnectionParser, at: float) -> None:
        hello = parser.hello
        offered = (
            f"the client offers {hello.min_version} to {hello.max_version}" if hello else "the client sent no hello"
        )
        log.info("%s: version %s; %s", self._number, parser.server_version, offered)

    def on_message(self, at: float, is_request: bool, cleaned: CleanedMessage) -> None:
        if category(cleaned.name) not in self._shown or (cleaned.name in STREAM_MESSAGES and not self.wants_streams):
            return
        if log.isEnabledFor(logging.INFO):
            log.info("%s %s %s", self._number, "->" if is_request else "<-", message_line(cleaned.name, cleaned.fields))

    def on_batch_end(self) -> None:
        """Do nothing: each line is already logged."""

    def on_close(self, at: float, reason: str) -> None:
        """Do nothing: the connection logs its end itself."""
