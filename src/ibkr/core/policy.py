"""Every number that the reactions use, in one frozen value. Seconds unless the name says otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from ibkr.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Policy:
    """How fast, how long and how often. Raises ``ConfigError`` for a number that cannot work."""

    connect_attempts: int = 3
    """How many attempts ``connect()`` makes before it raises the last cause."""
    connect_pause: float = 1.0
    """From the end of one attempt of ``connect()`` to the start of the next."""
    close_grace: float = 0.05
    """How long the old socket may take to end before it is aborted."""
    refused_every: float = 0.25
    refused_every_later: float = 1.0
    closed_every: float = 0.5
    closed_every_later: float = 2.0
    later_after: float = 600.0
    """When the slower cadence of a refused or closed port begins."""
    backoff_first: float = 1.0
    """First wait after a silent attempt, a client id in use, or a close without a code; doubles with each failure."""
    backoff_cap: float = 10.0
    jitter: float = 0.1
    """The share of a wait that chance may take off, so that many clients do not knock in step."""
    client_id_grace: float = 60.0
    """How long 326 may be our own lost session that the gateway has not let go yet."""
    flap_limit: int = 20
    """More lost sessions than this within ``flap_window`` slow the next attempts down."""
    flap_window: float = 60.0
    flap_pause: float = 1.0
    probe_after: float = 5.0
    """Silence on the socket before it is probed."""
    suspect_after: float = 1.0
    """An unanswered probe makes the session suspect after this."""
    probe_timeout: float = 5.0
    """No byte for this long after a probe: the session is dead."""
    lateness_tolerance: float = 0.25
    """A timer later than this tells of a blocked event loop, whose time does not count as silence."""
    request_timeout: float = 10.0
    """A start-up request unanswered for this long is asked once more, then named as missing."""
    upstream_grace: float = 0.25
    """How long a new session waits for word of the gateway's own link before it is assumed to be up."""
    restore_grace: float = 0.25
    """How long READY waits for first messages after the last subscription was sent again."""
    required_farms: tuple[str, ...] = ()
    """Data farms without which the connection counts as degraded."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "required_farms":
                _check_number(field.name, getattr(self, field.name), whole=isinstance(field.default, int))
        if not 0 <= self.jitter < 1:
            raise ConfigError("ibkr.jitter", self.jitter, "must be from 0 to below 1")
        if self.suspect_after > self.probe_timeout:
            raise ConfigError("ibkr.suspect_after", self.suspect_after, "must not be longer than probe_timeout")
        farms: object = self.required_farms
        if not isinstance(farms, tuple) or not all(isinstance(name, str) for name in farms):
            raise ConfigError("ibkr.required_farms", farms, "must be a tuple of names of data farms")


def _check_number(name: str, value: object, *, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ConfigError(f"ibkr.{name}", value, "must be a whole number" if whole else "must be a number")
    if not -math.inf < value < math.inf:
        raise ConfigError(f"ibkr.{name}", value, "must be a number")
    if value <= 0 and name != "jitter":
        raise ConfigError(f"ibkr.{name}", value, "must be greater than 0")
