"""Every number that the reactions use, in one frozen value. Seconds unless the name says otherwise."""

from __future__ import annotations

import functools
import math
from typing import NoReturn

from ibkr.core.calendar import REGIONS, Calendar, Zone, calendar_of
from ibkr.core.errors import ConfigError
from ibkr.core.value import CheckedValue


class Policy(CheckedValue):
    """How fast, how long and how often. Raises ``ConfigError`` for a number that cannot work."""

    connect_attempts: int = 3
    """How many attempts ``connect()`` makes before it raises the last cause."""
    connect_pause: float = 1.0
    """From the end of one attempt of ``connect()`` to the start of the next."""
    close_grace: float = 0.05
    """How long the old socket may take to end before it is aborted, where the next attempt waits for that."""
    disconnect_grace: float = 0.5
    """The same after ``disconnect()``: a busy gateway has the time to read what was sent last."""
    syn_timeout: float = 2.0
    """An attempt that gets no answer to its SYN ends after this, or after ``timeout`` if that is shorter."""
    refused_every: float = 0.25
    refused_every_later: float = 1.0
    closed_every: float = 0.5
    closed_every_later: float = 2.0
    later_after: float = 600.0
    """When the slower cadence of a refused or closed port begins."""
    backoff_first: float = 1.0
    """First wait after a silent attempt or a close without a code; doubles with each failure."""
    backoff_cap: float = 10.0
    jitter: float = 0.1
    """The share of a wait that chance may take off, so that many clients do not knock in step."""
    client_id_every: float = 0.25
    """From one attempt to the next while the gateway refuses the client id as in use (326)."""
    client_id_every_later: float = 1.0
    """The same, once it has been refused for ``client_id_later_after``."""
    client_id_later_after: float = 5.0
    client_id_every_last: float = 5.0
    """The same, once it has been refused for ``client_id_last_after``."""
    client_id_last_after: float = 65.0
    client_id_grace: float = 60.0
    """After a lost session, the client id may be refused as in use (326) for this long; then there is an alert."""
    flap_limit: int = 20
    """More lost sessions than this within ``flap_window`` slow the next attempts down."""
    flap_window: float = 60.0
    flap_pause: float = 1.0
    probe_after: float = 5.0
    """Silence on the socket before it is probed."""
    probe_apart: float = 1.0
    """From one probe to the next: a gateway may leave the second unanswered that comes sooner."""
    suspect_after: float = 1.0
    """An unanswered probe makes the session suspect after this."""
    probe_timeout: float = 5.0
    """No byte for this long after a probe: the session is dead."""
    lateness_tolerance: float = 0.25
    """A timer later than this tells of a blocked event loop, whose time does not count as silence."""
    send_rate: float = 40.0
    """Messages a second that are sent; a gateway allows 50 by default."""
    send_burst: int = 8
    """Messages that may be sent at once after a pause; in no second are more sent than this and ``send_rate``."""
    send_limit: int = 50
    """Messages that the gateway takes in any second. Orders and cancels leave at once up to this limit."""
    request_timeout: float = 10.0
    """A start-up request unanswered for this long is asked once more, then named as missing."""
    require_positions: bool = True
    """Whether orders have to wait until the positions of a new session are known."""
    upstream_grace: float = 0.25
    """How long a new session waits for word of the gateway's own link before it is assumed to be up."""
    restore_grace: float = 0.25
    """How long READY waits for first messages after the last subscription was sent again."""
    suspend_jump: float = 5.0
    """The wall clock ahead of the monotonic one by this tells that the machine slept: the session is probed at once."""
    loop_block_warning: float = 1.0
    """The event loop blocked for longer than this is told in the log."""
    missing_every: float = 60.0
    """How often a start-up request that stayed unanswered is asked again."""
    stream_silence: float = 5.0
    """A watched stream (upstream or its farm is back) may be silent this long before it is asked for again ..."""
    stream_silence_factor: float = 5.0
    """... or this many times its median interval, whichever is longer."""
    stream_history: float = 300.0
    """The time before the trouble in which a stream must have ticked to be watched ..."""
    stream_ticks: int = 10
    """... and how often."""
    stream_pause: float = 1.0
    """From one asking for streams that the gateway has ended to the next."""
    missing_subscriptions: str = "degrade"
    """What a subscription that ran before and is refused or ended now does: degrade, or only report in the reason."""
    outage_alert_after: float = 300.0
    """An outage outside of every maintenance window raises the alert after this."""
    required_farms: tuple[str, ...] = ()
    """Data farms without which the connection counts as degraded."""
    region: str = "america"
    """IB's data centre, for its maintenance windows: america, europe, asia, or none."""
    maintenance: tuple[str, ...] = ()
    """Windows of one's own, such as 'backup: Sat-Sun 02:00-03:30 Europe/London'; trouble in them raises no alert."""
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
                raise ConfigError(f"ibkr.{name}", getattr(self, name), f"must be {least} or more: less is not noticed")
        self._check_words()

    def _check_words(self) -> None:
        _check_texts("required_farms", self.required_farms, "names of data farms")
        _check_texts("maintenance", self.maintenance, "windows, such as 'backup: Sat 02:00-03:30 Europe/London'")
        for name in ("region", "daily_restart", "missing_subscriptions"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(f"ibkr.{name}", getattr(self, name), "must be text")
        if self.missing_subscriptions not in ("degrade", "report"):
            raise ConfigError("ibkr.missing_subscriptions", self.missing_subscriptions, "must be degrade or report")
        if self.region not in REGIONS:
            raise ConfigError("ibkr.region", self.region, f"must be one of {', '.join(REGIONS)}")

    def calendar(self, zone: Zone) -> Calendar:
        """The maintenance windows, in the zones that are handed in. Raises ``ConfigError``."""
        return _calendar_of(self.region, self.maintenance, self.daily_restart, zone)

    def _refuse_late_suspicion(self) -> NoReturn:
        """Of the two numbers that do not fit, name the one that was set."""
        if self.suspect_after == self._defaults["suspect_after"]:
            cure = f"must not be shorter than suspect_after ({self.suspect_after})"
            raise ConfigError("ibkr.probe_timeout", self.probe_timeout, cure)
        raise ConfigError("ibkr.suspect_after", self.suspect_after, "must not be longer than probe_timeout")


_calendar_of = functools.cache(calendar_of)  # it has no state, and many connectors have the same


def _check_texts(name: str, value: object, what: str) -> None:
    if not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
        raise ConfigError(f"ibkr.{name}", value, f"must be a tuple of {what}")


def _check_switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"ibkr.{name}", value, "must be true or false")


def _check_number(name: str, value: object, *, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ConfigError(f"ibkr.{name}", value, "must be a whole number" if whole else "must be a number")
    if not -math.inf < value < math.inf:
        raise ConfigError(f"ibkr.{name}", value, "must be a number")
    if value <= 0 and name != "jitter":
        raise ConfigError(f"ibkr.{name}", value, "must be greater than 0")
