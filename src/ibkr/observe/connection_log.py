"""Log lines about the connection (logger ``ibkr.connector``): state changes, gap reports, a blocked event loop."""

from __future__ import annotations

import logging
import math
import time
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta

from ibkr.core.codes import find
from ibkr.core.errors import FailureKind, advice
from ibkr.core.gap_report import GapReport
from ibkr.core.gateway_status import GatewayState
from ibkr.core.states import ConnectionState, UpstreamState
from ibkr.core.status import Status
from ibkr.core.token_bucket import TokenBucket

_logger = logging.getLogger("ibkr.connector")
_gap_logger = logging.getLogger("ibkr.gap")

_REPEAT_EVERY = timedelta(hours=1)
"""A long outage is logged again at this interval, to show that the program still runs. The alert comes earlier."""
_OUTAGE_BURST, _OUTAGE_INTERVAL = 10, 60.0
"""The first outages with one cause, up to this number, are logged immediately. After that, one outage is logged in each
interval (in seconds). Without the limit, a connection that breaks all night would fill the log."""
_STALL_INTERVAL = 60.0
_QUIET = (ConnectionState.DISCONNECTED, ConnectionState.SYNCING)


class StatusLog:
    """Logs each status change that matters. Call it with each status.

    - WARNING: an outage begins or gets a new cause, with what to do about it. In a maintenance window, and
      while the gateway starts, this line is INFO. An alert is always a WARNING.
    - INFO: the connection is ready again, with the length of the outage; once an hour, that the outage still lasts.
    - DEBUG: everything that says nothing new.

    If a connection breaks very often, not every outage is logged. The next line says how many outages were not logged.
    """

    def __init__(self) -> None:
        self._state = ConnectionState.DISCONNECTED
        self._outage_since: datetime | None = None
        self._cause_counts: dict[tuple[ConnectionState, str | None], int] = {}
        self._was_ready = False
        self._is_logged = False
        self._is_left_out = False
        self._left_out_count = 0
        self._outage_limits: dict[object, TokenBucket] = {}
        self._next_repeat: datetime | None = None
        self._alert = ""
        self._halted = ""
        self._upstream_was_down = False

    def __call__(self, status: Status) -> None:
        self._upstream_was_down |= status.upstream is UpstreamState.DOWN
        if status.alert != self._alert:
            is_new, self._alert = status.alert not in self._alert, status.alert
            if is_new:
                _logger.warning("%s %s, and %s: %s", _name(status), status.state, status.alert, status.reason)
        if status.halted != self._halted:
            self._halted = status.halted
            text = f"sends no new orders: halted: {status.halted}" if status.halted else "is no longer halted"
            _logger.warning("%s %s", _name(status), text)
        is_changed, self._state = status.state is not self._state, status.state
        if status.state is ConnectionState.READY:
            if is_changed:
                self._log_ready(status)
        elif status.state in _QUIET:
            if is_changed:
                self._log_quiet(status)
        else:
            self._log_trouble(status, is_changed=is_changed)

    def _log_ready(self, status: Status) -> None:
        if self._outage_since is None:
            _logger.info("Connected to IBKR at %s: %s", _name(status), status.reason)
        else:
            outage = status.outage
            seconds = outage.seconds if outage is not None and outage.is_over and self._was_ready else None
            if seconds is None:
                seconds = max(0.0, (status.since - self._outage_since).total_seconds())
            again = "again " if self._was_ready else ""
            notices = ""
            if self._upstream_was_down and status.upstream_notices > 1:
                notices = f" (the gateway said {status.upstream_notices} times that its link to IB was lost)"
            _logger.log(
                logging.INFO if self._is_logged else logging.DEBUG,
                "Connected to IBKR %sat %s after %.1f s: %s%s",
                again,
                _name(status),
                seconds,
                status.reason,
                notices,
            )
        self._was_ready = True
        self._outage_since = None
        self._upstream_was_down = False

    def _log_quiet(self, status: Status) -> None:
        if status.state is ConnectionState.SYNCING:
            _logger.debug("%s %s: %s", _name(status), status.state, status.reason)
        else:
            _logger.info("Disconnected from IBKR at %s: %s", _name(status), status.reason)
            self._was_ready = False
            self._outage_since = None
            self._cause_counts.clear()
            self._outage_limits.clear()

    def _log_trouble(self, status: Status, *, is_changed: bool) -> None:
        if status.state is ConnectionState.CONNECTING and not status.last_error:
            if is_changed:
                _logger.info("Connecting to IBKR at %s", _name(status))
            return
        if self._outage_since is None:
            self._begin_outage(status)
        key = (status.state, _cause(status))
        count = self._cause_counts[key] = self._cause_counts.get(key, 0) + 1
        if count == 1 and not self._is_left_out and not self._is_expected_326(status):
            self._is_logged = True
            is_expected = status.state is not ConnectionState.FAILED and (status.maintenance or _is_starting(status))
            level = logging.INFO if is_expected else logging.WARNING
            todo, left_out = cure(status), ""
            if self._left_out_count:
                left_out = f" ({self._left_out_count} similar outages before this one were not logged)"
                self._left_out_count = 0
            _logger.log(
                level, "%s %s: %s%s%s", _name(status), status.state, status.reason, todo and f". {todo}", left_out
            )
        elif self._next_repeat is not None and status.as_of >= self._next_repeat:
            self._is_logged = True
            self._next_repeat = status.as_of + _REPEAT_EVERY
            since = status.since if self._outage_since is None else self._outage_since
            seconds = (status.as_of - since).total_seconds()
            _logger.info("%s still %s after %.0f s: %s", _name(status), status.state, seconds, status.reason)
        else:
            _logger.debug("%s still %s (%d): %s", _name(status), status.state, count, status.reason)

    def _begin_outage(self, status: Status) -> None:
        outage = status.outage
        self._outage_since = status.since if outage is None or outage.is_over else outage.began_at
        self._cause_counts.clear()
        self._is_logged = False
        self._next_repeat = status.as_of + _REPEAT_EVERY
        cause = None if outage is None else outage.cause
        limit = self._outage_limits.setdefault(cause, TokenBucket(1 / _OUTAGE_INTERVAL, _OUTAGE_BURST))
        self._is_left_out = not limit.take(status.as_of.timestamp())
        self._left_out_count += self._is_left_out

    def _is_expected_326(self, status: Status) -> bool:
        """Whether code 326 is expected: after a lost session, the gateway holds the client id for a while.

        If this lasts too long, there is an alert.
        """
        in_use = status.failure is not None and status.failure.kind is FailureKind.CLIENT_ID_IN_USE
        return in_use and self._was_ready and status.state is ConnectionState.RECONNECTING


def _is_starting(status: Status) -> bool:
    """Whether the gateway's process starts, so that its port cannot be open yet."""
    return status.gateway is not None and status.gateway.state in (GatewayState.STARTING, GatewayState.RESTARTING)


def _name(status: Status) -> str:
    return f"{status.endpoint} as client {status.client_id}"


def _cause(status: Status) -> str | None:
    """Return what makes two problems different: in a session, the reason; otherwise, the kind of the last failure."""
    if status.state is ConnectionState.DEGRADED:
        return status.trouble
    return None if status.failure is None else status.failure.kind


def cure(status: Status) -> str:
    """Return what to do about a problem, in sentences. Empty if there is no problem, or nothing to do."""
    if status.state is ConnectionState.DEGRADED:
        lines = dict.fromkeys(row.advice for code in status.codes if (row := find(code)) and row.advice)
        return ". ".join(line.rstrip(".") for line in lines)
    if status.gateway is not None and status.gateway.reason and status.gateway.reason in status.reason:
        return status.gateway.advice
    if status.failure is None or status.state is ConnectionState.DISCONNECTED:
        return ""
    failure = status.failure
    return advice(failure.kind, status.endpoint, status.client_id, unknown_host=failure.unknown_host)


def log_gap(report: GapReport) -> None:
    """Log one line about a gap report (logger ``ibkr.gap``): WARNING if you should look at it, otherwise INFO.

    ``connector.last_gap`` has the report. ``StatusLog`` logs the length of the outage.
    """
    level = logging.WARNING if report.needs_a_look else logging.INFO
    _gap_logger.log(level, "What changed in the outage (%s): %s", report.cause, report.summary)


class StallLog:
    """Logs how long an event loop was blocked: one WARNING a minute, and another for each longer blockage."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged_at = -math.inf
        self._longest = 0.0
        self._not_logged = 0

    def __call__(self, seconds: float) -> None:
        now = self._clock()
        if now - self._logged_at >= _STALL_INTERVAL:
            self._longest = 0.0
        if seconds <= self._longest:
            self._not_logged += 1
            _logger.debug("The event loop was blocked for %.1f s again (%d)", seconds, self._not_logged)
            return
        before = f" ({self._not_logged} more times since the last such line)" if self._not_logged else ""
        self._logged_at, self._longest, self._not_logged = now, seconds, 0
        _logger.warning(
            "The event loop was blocked, or not run, for %.1f s: nothing was received or sent in that time, and it"
            " is not treated as silence of the gateway. Look for time.sleep() or long work in the loop's thread%s",
            seconds,
            before,
        )


_stall_logs: weakref.WeakKeyDictionary[object, StallLog] = weakref.WeakKeyDictionary()


def log_stall(loop: object, seconds: float) -> None:
    """Log that this event loop was blocked. If many connectors run in it, they share one ``StallLog``."""
    _stall_logs.setdefault(loop, StallLog())(seconds)
