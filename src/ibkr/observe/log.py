"""What goes to the log: one line for each change that matters, and no account id in any.

Logger ``ibkr`` and its children. Nothing here decides what happens; it only tells.
"""

from __future__ import annotations

import logging
import re
import threading
import weakref
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from ibkr.core.accounts import mask_accounts
from ibkr.core.codes import Severity, find
from ibkr.core.errors import FailureKind, advice
from ibkr.core.state import ConnectionState, UpstreamState
from ibkr.core.status import Status

_WRAPPERS = ("ib_async.wrapper", "ib_insync.wrapper")
"""Where the client library logs the codes that it receives."""

OUR_LOGGERS = (
    "ibkr",
    "ibkr.config",
    "ibkr.connector",
    "ibkr.gap",
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

_logger = logging.getLogger("ibkr.connector")
_formatter = logging.Formatter()
_lock = threading.Lock()

# How the client library begins its line about a code of IB's.
_CODE = r"(?:Error|Warning) (\d{1,5}), reqId "
# How a status names the code that is a subscription's trouble: "market data AAPL (354: Requested market data ...)".
_CAUSE = r"\((\d{1,5}): "

# In a long outage nobody should have to guess whether anything still runs.
_STILL_AFTER = timedelta(seconds=60)
# ... nor should an outage of days fill the log.
_STILL_AT_LEAST_EVERY = timedelta(hours=1)
_TROUBLES = (
    ConnectionState.CONNECTING,
    ConnectionState.RECONNECTING,
    ConnectionState.DEGRADED,
    ConnectionState.FAILED,
)
_QUIET = (ConnectionState.DISCONNECTED, ConnectionState.SYNCING)


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


class StatusLog:
    """A sink for ``Status``: a line when the state changes.

    A lost session or another trouble is a WARNING when its cause first shows, with the cure where there is one, DEBUG
    with a count as long as nothing new does, and INFO after a minute, then two, four, up to each hour; being back is
    INFO, with how long it took. Trouble that comes again within a minute is no news: a link that flaps is told of now
    and then. In a maintenance window trouble is INFO; the alert is a WARNING at any time.
    """

    def __init__(self) -> None:
        self._state = ConnectionState.DISCONNECTED
        self._out_since: datetime | None = None
        self._told: dict[tuple[ConnectionState, str], int] = {}
        self._was_ready = False
        self._ready_since: datetime | None = None
        self._is_told = False
        self._speak_at: datetime | None = None
        self._pause = _STILL_AFTER
        self._alert = ""
        self._upstream_was_down = False

    def __call__(self, status: Status) -> None:
        self._upstream_was_down |= status.upstream is UpstreamState.DOWN
        if status.alert != self._alert:
            self._alert = status.alert
            if status.alert:
                _logger.warning("%s %s, and %s: %s", _who(status), status.state, status.alert, status.reason)
        changed, self._state = status.state is not self._state, status.state
        if status.state is ConnectionState.READY:
            if changed:
                self._tell_ready(status)
        elif status.state in _QUIET:
            if changed:
                self._tell_quiet(status)
        else:
            self._tell_trouble(status, changed=changed)

    def _tell_ready(self, status: Status) -> None:
        if self._out_since is None:
            _logger.info("Connected to IBKR at %s: %s", _who(status), status.reason)
        else:
            seconds = max(0.0, (status.since - self._out_since).total_seconds())
            again = "again " if self._was_ready else ""
            notices = ""
            if self._upstream_was_down and status.upstream_notices > 1:
                notices = f" (the gateway said {status.upstream_notices} times that its link to IB was lost)"
            _logger.log(
                logging.INFO if self._is_told else logging.DEBUG,
                "Connected to IBKR %sat %s after %.1f s: %s%s",
                again,
                _who(status),
                seconds,
                status.reason,
                notices,
            )
        self._was_ready = True
        self._ready_since = status.since
        self._out_since = None
        self._upstream_was_down = False

    def _tell_quiet(self, status: Status) -> None:
        if status.state is ConnectionState.SYNCING:
            _logger.debug("%s %s: %s", _who(status), status.state, status.reason)
        else:
            _logger.info("Disconnected from IBKR at %s: %s", _who(status), status.reason)
            self._was_ready = False
            self._out_since = None
            self._begin_anew()

    def _tell_trouble(self, status: Status, *, changed: bool) -> None:
        if status.state is ConnectionState.CONNECTING and not status.last_error:
            if changed:
                _logger.info("Connecting to IBKR at %s", _who(status))
            return
        if self._out_since is None:
            self._out_since = status.since
            self._is_told = False
            if self._ready_since is None or status.since - self._ready_since >= _STILL_AFTER:
                self._begin_anew()
        key = (status.state, _cause(status))
        times = self._told[key] = self._told.get(key, 0) + 1
        if times == 1:
            self._is_told = True
            self._speak_at = status.as_of + self._pause
            is_expected = status.maintenance and status.state is not ConnectionState.FAILED
            level = logging.INFO if is_expected else logging.WARNING
            todo = cure(status)
            _logger.log(level, "%s %s: %s%s", _who(status), status.state, status.reason, todo and f". {todo}")
        elif self._speak_at is not None and status.as_of >= self._speak_at:
            self._is_told = True
            self._pause = min(2 * self._pause, _STILL_AT_LEAST_EVERY)
            self._speak_at = status.as_of + self._pause
            seconds = (status.as_of - self._out_since).total_seconds()
            still = f"still {status.state} after {seconds:.0f} s" if seconds >= 1 else f"{status.state} time and again"
            _logger.info("%s %s: %s", _who(status), still, status.reason)
        else:
            _logger.debug("%s still %s (%d): %s", _who(status), status.state, times, status.reason)

    def _begin_anew(self) -> None:
        """What was told of earlier troubles says nothing of this one."""
        self._told.clear()
        self._pause = _STILL_AFTER


def _who(status: Status) -> str:
    return f"{status.endpoint} as client {status.client_id}"


def _cause(status: Status) -> str:
    """What makes a trouble a new one: in a session its reason, without one the kind of the last failure."""
    in_session = status.state is ConnectionState.DEGRADED
    return status.reason.partition(" (expected:")[0] if in_session else status.last_error.partition(":")[0]


def cure(status: Status) -> str:
    """What to do about a trouble, in sentences; empty where there is none, or nothing to do."""
    if status.state not in _TROUBLES:
        return ""
    if status.state is ConnectionState.DEGRADED:
        codes = [1100] if status.upstream is UpstreamState.DOWN else map(int, re.findall(_CAUSE, status.reason))
        lines = dict.fromkeys(row.advice for code in codes if (row := find(code)) and row.advice)
        return ". ".join(line.rstrip(".") for line in lines)
    kind = status.last_error.partition(":")[0]
    if kind not in set(FailureKind):
        return ""
    return advice(FailureKind(kind), status.endpoint, status.client_id)
