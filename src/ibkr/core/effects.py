"""What the machine orders done. The driver carries them out in the order given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ibkr.core.facts import Key, Timer
from ibkr.core.state import Feed
from ibkr.core.status import Status


@dataclass(frozen=True, slots=True)
class Open:
    """Begin an attempt at this port: TCP, handshake, startApi."""

    attempt: int
    port: int


@dataclass(frozen=True, slots=True)
class Close:
    """End the attempt's socket in good order; ``SocketEnded`` follows."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Abort:
    """End the attempt's socket now, whatever it still holds; ``SocketEnded`` follows."""

    attempt: int


@dataclass(frozen=True, slots=True)
class StartUp:
    """Send the start-up requests; ``StartupAsked`` and ``StartupAnswered`` follow."""

    attempt: int


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Send these start-up requests once more. ``shared`` also those whose first asking still pends on a shared key."""

    attempt: int
    names: tuple[str, ...]
    shared: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """Hold what the gateway has told in start-up against what was known before the outage.

    ``cause``: of the outage; ``unknown``: start-up requests that were not answered, or only refused.
    """

    attempt: int
    cause: str
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReportGap:
    """The outage is over: tell what changed in it, if that was not told yet."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the client library's own listeners that the session is up."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Restore:
    """Ask for every wanted subscription again; ``SubscriptionsMoved`` follows.

    ``same_session``: the socket lived on, so each takes a fresh request id.
    """

    attempt: int
    same_session: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """Tell which streams of this feed (None: of all) ticked before the trouble; ``StreamsWatched`` follows.

    ``since``: when the trouble began, in monotonic seconds; ``farm`` comes back in the answer.
    """

    attempt: int
    feed: Feed | None
    since: float
    farm: str


@dataclass(frozen=True, slots=True)
class AskStreams:
    """Ask for these streams again on the live socket, but not for one that has ticked after ``unless_since``."""

    attempt: int
    req_ids: tuple[Key, ...]
    unless_since: float | None = None


@dataclass(frozen=True, slots=True)
class SlowDown:
    """Send fewer messages a second for the rest of this session."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the gateway for its time; ``Heard`` follows at the next byte."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Release:
    """Nothing will be restored any more: end the streams that the caller holds."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """(Re)start a timer, to fire ``delay`` seconds from now."""

    timer: Timer
    delay: float


@dataclass(frozen=True, slots=True)
class StopTimer:
    """Stop a timer, if it runs."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Publish:
    """Show this status to everybody."""

    status: Status


SessionOrder: TypeAlias = (
    Open
    | Close
    | Abort
    | StartUp
    | AskAgain
    | Compare
    | ReportGap
    | Announce
    | Restore
    | Watch
    | AskStreams
    | SlowDown
    | Probe
    | Release
)
Effect: TypeAlias = SessionOrder | StartTimer | StopTimer | Publish
