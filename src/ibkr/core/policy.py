"""``Policy``: delays, limits and switches of the reactions. Durations are in seconds.

Deadlines of requests are in ``deadline_settings``, and limits of restarts in ``gateway_settings``. A few constants that
nobody needs to change are in the modules that use them.
"""

from __future__ import annotations

import functools
import math
from typing import NoReturn

from ibkr.core.codes import OrderMeaning, parse_order_codes
from ibkr.core.deadline_settings import OFF, Deadlines
from ibkr.core.errors import ConfigError
from ibkr.core.frozen_record import ValidatedRecord
from ibkr.core.maintenance_calendar import REGIONS, Calendar, Zone, build_calendar


class Policy(ValidatedRecord):
    """Times, limits and switches of a connection. Times are in seconds. Raises ``ConfigError`` for an invalid value."""

    connect_attempts: int = 3
    """Attempts that ``connect()`` makes before it raises an error with the last cause.

    If no retry can help, the error is raised immediately. In a fleet, or with a journal of an earlier session,
    attempts that fail because the client id is in use (326) do not count.
    """
    connect_pause: float = 1.0
    """The time from the end of one attempt of ``connect()`` to the start of the next attempt."""
    close_grace: float = 0.05
    """How long the old socket may take to close before it is aborted, if the next attempt waits for it."""
    disconnect_grace: float = 0.5
    """The same limit after ``disconnect()``. A busy gateway needs this time to read the last messages."""
    syn_timeout: float = 2.0
    """An attempt without an answer to its SYN ends after this time, or after ``timeout`` if ``timeout`` is shorter."""
    refused_every: float = 0.25
    refused_every_later: float = 1.0
    closed_every: float = 0.5
    closed_every_later: float = 2.0
    later_after: float = 600.0
    """After this time without a session, attempts at a refused or closed port are less frequent."""
    backoff_first: float = 1.0
    """The first wait after a silent attempt, or after a close without a code. It doubles with each failure."""
    backoff_cap: float = 10.0
    jitter: float = 0.1
    """Each wait is shorter by a random part, at most this share. So many clients do not retry at the same time."""
    client_id_every: float = 0.25
    """The time from one attempt to the next while the gateway refuses the client id as in use (326)."""
    client_id_every_later: float = 1.0
    """The same time, after the id has been refused for ``client_id_later_after``."""
    client_id_later_after: float = 5.0
    client_id_every_last: float = 5.0
    """The same time, after the id has been refused for ``client_id_last_after``."""
    client_id_last_after: float = 65.0
    client_id_grace: float = 60.0
    """If the client id is refused as in use (326) for longer than this after a lost session, an alert is raised."""
    flap_limit: int = 20
    """More lost sessions than this within ``flap_window`` slow down the next attempts."""
    flap_window: float = 60.0
    flap_pause: float = 1.0
    """The time between a lost session and the next attempt, if more than ``flap_limit`` sessions were lost."""
    probe_after: float = 5.0
    """The session is probed after this time without a decoded message."""
    probe_apart: float = 1.0
    """The time from one probe to the next: a gateway may not answer a second probe that comes sooner."""
    suspect_after: float = 1.0
    """An unanswered probe makes the session suspect after this, or after ``probe_timeout`` if messages still come."""
    probe_timeout: float = 5.0
    """If no message comes for this long after a probe, the session is dead."""
    probe_every: float = 30.0
    """A probe is sent at least this often, also while messages come, because our messages may not reach the gateway."""
    lateness_tolerance: float = 0.25
    """If a timer fires later than this, the event loop was blocked. The blocked time is not treated as silence."""
    send_rate: float = 40.0
    """Messages that are sent per second. A gateway allows 50 by default."""
    send_burst: int = 8
    """Messages that may be sent together after a pause. At most this plus ``send_rate`` are sent in any second."""
    send_limit: int = 50
    """Messages that the gateway accepts in any second. Orders and cancels are sent immediately up to this limit."""
    request_timeout: float = 10.0
    """A start-up request that is unanswered for this long is repeated one time, and then reported as missing."""
    require_positions: bool = True
    """Whether orders must wait until the positions of a new session are known."""
    require_executions: bool = True
    """Whether orders must wait until the executions of a new session are known. Some gateways never answer."""
    read_only_every: float = 0.0
    """How often a gateway with a read-only API is asked whether the API still is read-only. 0: never automatically.

    In TWS, this request may open a dialog.
    """
    late_look: float = 10.0
    """Executions may come late after 1102, so they are requested again after this time."""
    late_look_last: float = 60.0
    """Late executions are requested a second time when this time has passed since 1102."""
    order_ack_after: float = 5.0
    """After this time, an order that is not acknowledged is unconfirmed, and a probe is sent. 0: never."""
    require_journal: bool = True
    """Whether orders must wait while the journal, if there is one, cannot be written."""
    upstream_grace: float = 0.25
    """How long a new session waits for a report of upstream before it assumes that upstream is up."""
    restore_grace: float = 0.25
    """How long ``READY`` waits for first messages after the last subscription was requested again."""
    suspend_jump: float = 5.0
    """If the wall clock jumps ahead by this, the computer has slept, and the session is probed immediately."""
    loop_block_warning: float = 1.0
    """If the event loop is blocked for longer than this, the blockage is logged."""
    missing_every: float = 60.0
    """How often an unanswered start-up request is repeated."""
    stream_silence: float = 5.0
    """When upstream or a farm is back, streams are watched: each that is silent this long is requested again."""
    stream_silence_factor: float = 5.0
    """A watched stream may also be silent for this many times its median interval, if that is longer."""
    stream_history: float = 300.0
    """Only a stream that ticked in this time before the loss of upstream or its farm is watched."""
    stream_ticks: int = 10
    """Only a stream that ticked at least this often in that time is watched."""
    stream_pause: float = 1.0
    """The time from one request for streams that the gateway has ended to the next request."""
    stream_retry: float = 1.0
    """The time from a refusal of a stream to the next request. It doubles each time, up to ``stream_retry_cap``."""
    stream_retry_cap: float = 60.0
    """The longest wait that is reached by doubling."""
    stream_retry_later: float = 300.0
    """All later waits, until the program cancels the stream."""
    missing_subscriptions: str = "degrade"
    """What happens if a subscription that ran before is lost.

    ``degrade``: the state becomes ``DEGRADED``. ``report``: only the reason names it.
    """
    outage_alert_after: float = 300.0
    """An outage, or a first connection that fails, raises the alert after this. Maintenance windows delay it."""
    required_farms: tuple[str, ...] = ()
    """Data farms without which the connection is degraded."""
    region: str = "america"
    """IB's data centre, for its maintenance windows: america, europe, asia, or none."""
    maintenance: tuple[str, ...] = ()
    """Your own maintenance windows, such as 'backup: Sat-Sun 02:00-03:30 Europe/London'.

    An outage raises no alert until its window ends.
    """
    order_codes: tuple[str, ...] = ()
    """Your own meanings of codes for an order, for example '10999=note'.

    Use this if a code is missing in the catalogue, or wrong there. The meanings are note, refuses_new, refuses_change,
    refuses_cancel, ends and ask.
    """
    deadlines: Deadlines | None = Deadlines()
    """How long a one-shot request may stay unanswered, by kind. ``None``: no limit."""
    daily_restart: str = ""
    """When the gateway restarts itself (its "Lock and Exit" settings), such as '23:45 America/New_York'."""

    def check(self) -> None:
        for name, default in self._defaults.items():
            if isinstance(default, bool):
                _check_switch(name, getattr(self, name))
            elif isinstance(default, (int, float)):
                _check_number(name, getattr(self, name), whole=isinstance(default, int))
        if not 0 <= self.jitter < 1:
            raise ConfigError("ibkr.jitter", self.jitter, "must be from 0 to below 1")
        if self.suspect_after > self.probe_timeout:
            self._refuse_late_suspicion()
        for name, least in (("loop_block_warning", 0.5), ("suspend_jump", 1.0)):
            if getattr(self, name) < least:
                cure = f"must be {least} or more: a shorter time cannot be detected"
                raise ConfigError(f"ibkr.{name}", getattr(self, name), cure)
        self._check_words()

    def _check_words(self) -> None:
        deadlines: object = self.deadlines
        if not isinstance(deadlines, (Deadlines, type(None))):
            cure = "must be a Deadlines, such as Deadlines(history=60.0), or None"
            raise ConfigError("ibkr.deadlines", deadlines, cure)
        _check_texts("required_farms", self.required_farms, "names of data farms")
        _check_texts("maintenance", self.maintenance, "windows, such as 'backup: Sat 02:00-03:30 Europe/London'")
        _check_texts("order_codes", self.order_codes, _ORDER_CODES)
        try:
            parse_order_codes(self.order_codes)
        except ValueError:
            raise ConfigError("ibkr.order_codes", self.order_codes, f"must be a tuple of {_ORDER_CODES}") from None
        for name in ("region", "daily_restart", "missing_subscriptions"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"ibkr.{name}", getattr(self, name), "must be text")
        if self.missing_subscriptions not in ("degrade", "report"):
            raise ConfigError("ibkr.missing_subscriptions", self.missing_subscriptions, "must be degrade or report")
        if self.region not in REGIONS:
            raise ConfigError("ibkr.region", self.region, f"must be one of {', '.join(REGIONS)}")

    @property
    def request_deadlines(self) -> Deadlines:
        """Return ``deadlines``. If ``deadlines`` is ``None``, return deadlines that are all off."""
        return OFF if self.deadlines is None else self.deadlines

    def calendar(self, zone: Zone) -> Calendar:
        """The maintenance windows; ``zone`` finds time zones. Raises ``ConfigError`` if one is not valid."""
        return _calendar_of(self.region, self.maintenance, self.daily_restart, zone)

    def _refuse_late_suspicion(self) -> NoReturn:
        """Raise ``ConfigError`` with the name of the number that the user has set: the two numbers do not fit."""
        if self.suspect_after == self._defaults["suspect_after"]:
            cure = f"must not be shorter than suspect_after ({self.suspect_after})"
            raise ConfigError("ibkr.probe_timeout", self.probe_timeout, cure)
        raise ConfigError("ibkr.suspect_after", self.suspect_after, "must not be longer than probe_timeout")


_ORDER_CODES = f"texts such as '10999=note', with one of {', '.join(OrderMeaning)}"
_calendar_of = functools.cache(build_calendar)  # a calendar has no state, so connectors share it


def _check_texts(name: str, value: object, what: str) -> None:
    if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
        raise ConfigError(f"ibkr.{name}", value, f"must be a tuple of {what}")


def _check_switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"ibkr.{name}", value, "must be true or false")


_ZERO_IS_NEVER = ("read_only_every", "order_ack_after")


def _check_number(name: str, value: object, *, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ConfigError(f"ibkr.{name}", value, "must be a whole number" if whole else "must be a number")
    if not -math.inf < value < math.inf:
        raise ConfigError(f"ibkr.{name}", value, "must be a number")
    if value < 0 and name in _ZERO_IS_NEVER:
        raise ConfigError(f"ibkr.{name}", value, "must be greater than 0, or 0 for never")
    if value <= 0 and name not in ("jitter", *_ZERO_IS_NEVER):
        raise ConfigError(f"ibkr.{name}", value, "must be greater than 0")
