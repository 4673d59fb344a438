"""Logging filters for this package and the client library.

They mask account ids, remove control characters, limit the number of lines, and add advice to lines about IB's codes.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from ibkr.core.account_masking import mask_accounts
from ibkr.core.codes import Severity, find
from ibkr.core.serialization import to_printable
from ibkr.core.token_bucket import TokenBucket

_WRAPPERS = ("ib_async.wrapper", "ib_insync.wrapper")
"""The loggers on which the client library reports IB's codes."""

OUR_LOGGERS = (
    "ibkr",
    "ibkr.config",
    "ibkr.connector",
    "ibkr.fleet",
    "ibkr.gap",
    "ibkr.gateway",
    "ibkr.journal",
    "ibkr.observe",
    "ibkr.proxy",
    "ibkr.runtime",
    "ibkr.session",
    "ibkr.web",
)
"""All loggers of this package. A filter gets only the records of its own logger, not of the logger's children."""

LIBRARY_LOGGERS = (
    "ib_async.client",
    "ib_async.Decoder",
    "ib_async.ib",
    "ib_async.wrapper",
    "ib_insync.client",
    "ib_insync.Decoder",
    "ib_insync.ib",
    "ib_insync.wrapper",
    # This logger logs the arguments of an event whose listener failed, such as account values and trades.
    "eventkit.event",
)

_LINE_BURST, _LINES_PER_SECOND = 50, 0.5
"""The limits for each place in the code that logs: first this many lines, then this many lines per second."""
_MAX_LINE_LENGTH = 1000
"""The longest line, in characters."""

_formatter = logging.Formatter()
_lock = threading.Lock()

# The client library's line about an IB code begins with this text.
_CODE = r"(?:Error|Warning) (\d{1,5}), reqId "


class AccountMask(logging.Filter):
    """Masks account ids in every record: the ids that it knows, and everything that looks like an id.

    Set ``show_accounts`` to switch the mask off. You can do this at any time.
    """

    def __init__(self, *, show_accounts: bool = False) -> None:
        super().__init__()
        self.show_accounts = show_accounts
        self.known: frozenset[str] = frozenset()

    def add_accounts(self, accounts: Iterable[str]) -> None:
        """Mask these ids, too, even if they do not look like account ids."""
        self.known |= frozenset(accounts)

    def filter(self, record: logging.LogRecord) -> bool:
        if not self.show_accounts:
            _mask_record(record, self.known)
        return True


def mask_loggers(names: Iterable[str], mask: AccountMask) -> Callable[[], None]:
    """Attach a mask to the loggers with these names, for as long as the mask exists.

    Masks for the same names share one filter, which is removed with the last mask.

    Returns:
        A function that removes the mask.
    """
    group = tuple(names)
    with _lock:
        masks = _groups.setdefault(group, _MaskGroup())
        masks.masks.add(mask)
        for name in group:
            logging.getLogger(name).addFilter(masks)

    def remove() -> None:
        with _lock:
            masks.masks.discard(mask)
            if not masks.masks:
                for name in group:
                    logging.getLogger(name).removeFilter(masks)

    return remove


class _MaskGroup(logging.Filter):
    """All masks on the same loggers. Holds weak references, so that a mask is deleted with its connector."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: weakref.WeakSet[AccountMask] = weakref.WeakSet()

    def filter(self, record: logging.LogRecord) -> bool:
        if logging.INFO <= record.levelno < logging.CRITICAL and not log_rate_limit.allows(record):
            return False
        masks = [mask for mask in tuple(self.masks) if not mask.show_accounts]
        if masks:
            _mask_record(record, frozenset().union(*(mask.known for mask in masks)))
        if record.name in _WRAPPERS:
            _add_advice(record)
        _remove_control_characters(record)
        return True


class LogRateLimit:
    """Limits the lines that each place in the code may log, because a gateway can cause a line with each message.

    After ``_LINE_BURST`` lines, one line is logged every ``1 / _LINES_PER_SECOND`` seconds. This line says how many
    were not logged. Lines over ``_MAX_LINE_LENGTH`` are cut. Not limited: DEBUG, records with ``is_unlimited``, and
    lines about states and outages (``connection_log``), which have their own limit.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places: dict[tuple[str, int], TokenBucket] = {}
        self._left_out: dict[tuple[str, int], int] = {}

    def allows(self, record: logging.LogRecord) -> bool:
        """Whether to log this record. Cuts its message if it is too long."""
        if record.name == "ibkr.connector" or getattr(record, "is_unlimited", False):
            return True
        place = record.pathname, record.lineno
        bucket = self._places.get(place)
        if bucket is None:
            bucket = self._places[place] = TokenBucket(_LINES_PER_SECOND, _LINE_BURST)
        if not bucket.take(self._clock()):
            self._left_out[place] = self._left_out.get(place, 0) + 1
            return False
        left_out = self._left_out.pop(place, 0)
        message = _message(record)
        if len(message) > _MAX_LINE_LENGTH or left_out:
            cut = message if len(message) <= _MAX_LINE_LENGTH else f"{message[:_MAX_LINE_LENGTH]}..."
            more = f" ({left_out} similar lines were not logged)" if left_out else ""
            record.msg, record.args = f"{cut}{more}", ()
        return True


log_rate_limit = LogRateLimit()


_groups: dict[tuple[str, ...], _MaskGroup] = {}
"""Masks by the names of their loggers. A separate mask for each logger would use a tenth of a connector's memory."""


def _mask_record(record: logging.LogRecord, known: frozenset[str]) -> None:
    message = _message(record)
    masked = mask_accounts(message, known)
    if masked != message:
        record.msg, record.args = masked, ()
    if record.exc_info:
        text = record.exc_text or _formatter.formatException(record.exc_info)
        if mask_accounts(text, known) != text:
            # Remove the exception: a handler would format it again, without the mask.
            record.exc_text, record.exc_info = mask_accounts(text, known), None
    if record.stack_info:
        record.stack_info = mask_accounts(record.stack_info, known)


def _remove_control_characters(record: logging.LogRecord) -> None:
    """Remove control characters: text from the gateway could move the cursor, or look like our own lines."""
    message = _message(record)
    if not message.isprintable():
        record.msg, record.args = to_printable(message), ()
    if record.exc_info:
        text = record.exc_text or _formatter.formatException(record.exc_info)
        clean = _printable_lines(text)
        if clean != text:
            record.exc_text, record.exc_info = clean, None


def _printable_lines(text: str) -> str:
    return "\n".join(map(to_printable, text.splitlines()))


class PrintableFormatter(logging.Formatter):
    """Formats a record of any logger as one line without control characters; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the line."""
        return to_printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        """Return the lines of a traceback."""
        return _printable_lines(super().formatException(ei))


def _add_advice(record: logging.LogRecord) -> None:
    """Append what to do to a line about one of IB's codes."""
    message = _message(record)
    match = re.match(_CODE, message)
    row = find(int(match[1])) if match else None
    has_advice = row is not None and row.advice and row.severity is not Severity.GOOD
    if row is not None and has_advice and not message.endswith(row.advice):
        record.msg, record.args = f"{message} | {row.advice}", ()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # the arguments do not fit the message, or fail in any other way
        # The handler would print the failure and the arguments without a mask, so put them into the message here.
        return f"{record.msg!r} with arguments {record.args!r}"
