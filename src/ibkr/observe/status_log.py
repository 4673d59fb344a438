"""What goes to the log of a status: one line for each change that matters."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from ibkr.core.codes import find
from ibkr.core.errors import advice
from ibkr.core.gateway import GatewayState
from ibkr.core.state import ConnectionState, UpstreamState
from ibkr.core.status import Status

_logger = logging.getLogger("ibkr.connector")

# In a long outage nobody should have to guess whether anything still runs.
_STILL_AFTER = timedelta(seconds=60)
# ... nor should an outage of days fill the log.
_STILL_AT_LEAST_EVERY = timedelta(hours=1)
_QUIET = (ConnectionState.DISCONNECTED, ConnectionState.SYNCING)


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
        self._told: dict[tuple[ConnectionState, str | None], int] = {}
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
            is_news, self._alert = status.alert not in self._alert, status.alert
            if is_news:
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
            outage = status.outage
            self._out_since = status.since if outage is None or outage.is_over else outage.began_at
            self._is_told = False
            if self._ready_since is None or status.since - self._ready_since >= _STILL_AFTER:
                self._begin_anew()
        key = (status.state, _cause(status))
        times = self._told[key] = self._told.get(key, 0) + 1
        if times == 1:
            self._is_told = True
            self._speak_at = status.as_of + self._pause
            is_expected = status.state is not ConnectionState.FAILED and (status.maintenance or _is_starting(status))
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


def _is_starting(status: Status) -> bool:
    """The gateway's process starts: its port is not open yet, as it should be."""
    return status.gateway is not None and status.gateway.state in (GatewayState.STARTING, GatewayState.RESTARTING)


def _who(status: Status) -> str:
    return f"{status.endpoint} as client {status.client_id}"


def _cause(status: Status) -> str | None:
    """What makes a trouble a new one: in a session its reason, without one the kind of the last failure."""
    if status.state is ConnectionState.DEGRADED:
        return status.trouble
    return None if status.failure is None else status.failure.kind


def cure(status: Status) -> str:
    """What to do about a trouble, in sentences; empty where there is none, or nothing to do."""
    if status.state is ConnectionState.DEGRADED:
        lines = dict.fromkeys(row.advice for code in status.codes if (row := find(code)) and row.advice)
        return ". ".join(line.rstrip(".") for line in lines)
    if status.gateway is not None and status.gateway.reason and status.gateway.reason in status.reason:
        return status.gateway.advice
    if status.failure is None or status.state is ConnectionState.DISCONNECTED:
        return ""
    return advice(status.failure.kind, status.endpoint, status.client_id)
