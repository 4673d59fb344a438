"""What log lines of this package and of the client library go through: no account id in any, the cure behind a code."""

from __future__ import annotations

import logging
import re
import threading
import weakref
from collections.abc import Callable, Iterable

from ibkr.core.accounts import mask_accounts
from ibkr.core.codes import Severity, find

_WRAPPERS = ("ib_async.wrapper", "ib_insync.wrapper")
"""Where the client library logs the codes that it receives."""

OUR_LOGGERS = (
    "ibkr",
    "ibkr.config",
    "ibkr.connector",
    "ibkr.gap",
    "ibkr.gateway",
    "ibkr.observe",
    "ibkr.runtime",
    "ibkr.session",
    "ibkr.web",
)
"""A filter sees only what its own logger is handed, not what the logger's children are."""

LIBRARY_LOGGERS = (
    "ib_async.client",
    "ib_async.Decoder",
    "ib_async.ib",
    "ib_async.wrapper",
    "ib_insync.client",
    "ib_insync.Decoder",
    "ib_insync.ib",
    "ib_insync.wrapper",
    # Logs the arguments of an event whose listener failed: account values and trades among them.
    "eventkit.event",
)

_formatter = logging.Formatter()
_lock = threading.Lock()

# How the client library begins its line about a code of IB's.
_CODE = r"(?:Error|Warning) (\d{1,5}), reqId "


class AccountMask(logging.Filter):
    """Masks account ids in every record that it lets through: those it was told of, and all that look like one.

    ``show_accounts`` turns it off, also later.
    """

    def __init__(self, *, show_accounts: bool = False) -> None:
        super().__init__()
        self.show_accounts = show_accounts
        self.known: frozenset[str] = frozenset()

    def learn(self, accounts: Iterable[str]) -> None:
        """Masks these ids too, whatever they look like."""
        self.known |= frozenset(accounts)

    def filter(self, record: logging.LogRecord) -> bool:
        if not self.show_accounts:
            _mask_record(record, self.known)
        return True


def mask_loggers(names: Iterable[str], mask: AccountMask) -> Callable[[], None]:
    """Attach the mask to the loggers of these names, for as long as it lives or until what is returned is called.

    Many masks may be on one logger: those for the same names act as one filter, until the last is taken off.
    """
    group = tuple(names)
    with _lock:
        masks = _groups.setdefault(group, _Masks())
        masks.masks.add(mask)
        for name in group:
            logging.getLogger(name).addFilter(masks)

    def undo() -> None:
        with _lock:
            masks.masks.discard(mask)
            if not masks.masks:
                for name in group:
                    logging.getLogger(name).removeFilter(masks)

    return undo


class _Masks(logging.Filter):
    """The masks that are on some loggers. Held weakly: a mask goes with the connector that it belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: weakref.WeakSet[AccountMask] = weakref.WeakSet()

    def filter(self, record: logging.LogRecord) -> bool:
        masks = [mask for mask in tuple(self.masks) if not mask.show_accounts]
        if masks:
            _mask_record(record, frozenset().union(*(mask.known for mask in masks)))
        if record.name in _WRAPPERS:
            _advise(record)
        return True


_groups: dict[tuple[str, ...], _Masks] = {}
"""By the names of their loggers: a mask in a set of its own for each logger would be a tenth of a connector."""


def _mask_record(record: logging.LogRecord, known: frozenset[str]) -> None:
    message = _message(record)
    masked = mask_accounts(message, known)
    if masked != message:
        record.msg, record.args = masked, ()
    if record.exc_info:
        text = record.exc_text or _formatter.formatException(record.exc_info)
        if mask_accounts(text, known) != text:
            # Without the exception itself: a handler would print it anew, unmasked.
            record.exc_text, record.exc_info = mask_accounts(text, known), None
    if record.stack_info:
        record.stack_info = mask_accounts(record.stack_info, known)


def _advise(record: logging.LogRecord) -> None:
    """Put what to do behind a line about a code of IB's."""
    message = _message(record)
    match = re.match(_CODE, message)
    row = find(int(match[1])) if match else None
    has_cure = row is not None and row.advice and row.severity is not Severity.GOOD
    if row is not None and has_cure and not message.endswith(row.advice):
        record.msg, record.args = f"{message} | {row.advice}", ()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a mistake in the caller's log line, of whatever kind
        # Arguments that do not fit the message. The handler reports that, and prints them: they get masked as they are.
        return f"{record.msg!r} with arguments {record.args!r}"
