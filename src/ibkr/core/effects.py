"""What the machine orders done. The driver carries them out in the order given."""

from __future__ import annotations

from typing import TypeAlias

from ibkr.core.facts import Key, Timer
from ibkr.core.state import Feed
from ibkr.core.status import Status
from ibkr.core.value import Value


class Open(Value):
    """Begin an attempt at this port: TCP, handshake, startApi.

    ``from_lost_address``: from the local address and port of the session that was lost, where they can be had. The
    peer's system may still hold that session, and ends it when it sees this.
    """

    attempt: int
    port: int
    from_lost_address: bool = False


class Look(Value):
    """See whether the port speaks something other than the API; ``PeerSeen`` follows."""

    attempt: int
    port: int


class Close(Value):
    """End the attempt's socket in good order; ``SocketEnded`` follows."""

    attempt: int


class Abort(Value):
    """End the attempt's socket now, whatever it still holds; ``SocketEnded`` follows."""

    attempt: int


class DiscardUnsent(Value):
    """Whether bytes that have not reached the gateway when the socket ends are thrown away, or still delivered."""

    attempt: int
    discard: bool


class StartUp(Value):
    """Send the start-up requests; ``StartupAnswered`` follows, after 1101 ``StartupAsked`` before it."""

    attempt: int


class AskAgain(Value):
    """Send these start-up requests once more. ``shared`` also those whose first asking still pends on a shared key."""

    attempt: int
    names: tuple[str, ...]
    shared: bool


class Compare(Value):
    """Hold what the gateway has told in start-up against what was known before the outage.

    ``cause``: of the gap; ``unknown``: start-up requests that were not answered, or only refused; ``outage``: the
    number of the outage that the gap is part of, 0 for none.
    """

    attempt: int
    cause: str
    unknown: tuple[str, ...]
    outage: int = 0


class ReportGap(Value):
    """The outage is over: tell what changed in it, if that was not told yet."""

    attempt: int


class Announce(Value):
    """Tell the client library's own listeners that the session is up."""

    attempt: int


class Restore(Value):
    """Ask for every wanted subscription again; ``SubscriptionsMoved`` follows.

    ``same_session``: the socket lived on, so each takes a fresh request id.
    """

    attempt: int
    same_session: bool


class Watch(Value):
    """Tell which streams of this feed (None: of all) ticked before the trouble; ``StreamsWatched`` follows.

    ``since``: when the trouble began, in monotonic seconds; ``farm`` comes back in the answer.
    """

    attempt: int
    feed: Feed | None
    since: float
    farm: str


class AskStreams(Value):
    """Ask for these streams again on the live socket, but not for one that has ticked after ``unless_since``."""

    attempt: int
    req_ids: tuple[Key, ...]
    unless_since: float | None = None


class SlowDown(Value):
    """Send fewer messages a second for the rest of this session."""

    attempt: int


class Probe(Value):
    """Ask the gateway for its time; ``Heard`` follows at the next byte."""

    attempt: int


class Release(Value):
    """Nothing will be restored any more: end the streams that the caller holds."""


class StartTimer(Value):
    """(Re)start a timer, to fire ``delay`` seconds from now: what is left of a wait of ``whole``, if that is more."""

    timer: Timer
    delay: float
    whole: float = 0.0


class StopTimer(Value):
    """Stop a timer, if it runs."""

    timer: Timer


class Publish(Value):
    """Show this status to everybody."""

    status: Status


SessionOrder: TypeAlias = (
    Open
    | Close
    | Abort
    | DiscardUnsent
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
Effect: TypeAlias = SessionOrder | Look | StartTimer | StopTimer | Publish
