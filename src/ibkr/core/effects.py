"""Effects: what the state machine decides to do. ``runtime/effect_runner.py`` carries them out in order."""

from __future__ import annotations

from typing import TypeAlias

from ibkr.core.events import Key, Timer
from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.states import Feed
from ibkr.core.status import Status


class StartAttempt(FrozenRecord):
    """Begin an attempt at this port: TCP, handshake, ``startApi``.

    ``from_lost_address``: connect from the local address and port of the lost session, if possible. A peer for
    which that session is still open then ends the session. ``client_id`` is the id that a fleet has assigned; if it is
    ``None``, the configured id is used. ``is_standby``: another program leads and writes the journal.
    """

    attempt: int
    port: int
    from_lost_address: bool = False
    client_id: int | None = None
    is_standby: bool = False


class IdentifyPeer(FrozenRecord):
    """Find out whether the port speaks something other than the API. ``PeerIdentified`` follows."""

    attempt: int
    port: int


class CloseSocket(FrozenRecord):
    """Close the attempt's socket gracefully. ``SocketClosed`` follows."""

    attempt: int


class AbortSocket(FrozenRecord):
    """Close the attempt's socket now and drop the bytes that are not sent yet. ``SocketClosed`` follows."""

    attempt: int


class DiscardUnsent(FrozenRecord):
    """Set whether bytes that have not reached the gateway are dropped or delivered when the socket closes."""

    attempt: int
    discard: bool


class SendStartupRequests(FrozenRecord):
    """Send the start-up requests. ``StartupAnswered`` follows. After 1101, ``StartupRequested`` comes before it."""

    attempt: int


class ResendStartupRequests(FrozenRecord):
    """Send these start-up requests again.

    If ``shared`` is true, requests without an id are also sent again while they still wait for an answer.
    """

    attempt: int
    names: tuple[str, ...]
    shared: bool


class RequestBrokerState(FrozenRecord):
    """Request orders, executions and positions again.

    If ``is_late`` is true, the first answers that come are used; otherwise only the answers to the new requests.
    ``CompareBrokerState`` follows the answers. If the gap was already reported and ``is_late`` is true,
    ``AmendGapReport`` follows.
    """

    attempt: int
    names: tuple[str, ...]
    is_late: bool = False


class AmendGapReport(FrozenRecord):
    """Late executions were requested after the gap report: report the executions that are new."""

    attempt: int


class CompareBrokerState(FrozenRecord):
    """Compare the start-up answers with the last known state.

    ``cause``: why there is a gap. ``unknown``: start-up requests that were refused or not answered. ``outage``: the
    number of the outage that the gap is part of, or 0 if there is none.
    """

    attempt: int
    cause: str
    unknown: tuple[str, ...]
    outage: int = 0


class ReportGap(FrozenRecord):
    """The outage is over: report the changes at the broker, if they are not reported yet."""

    attempt: int


class EmitConnectedEvent(FrozenRecord):
    """Tell the client library's own listeners that the session is up."""

    attempt: int


class RestoreSubscriptions(FrozenRecord):
    """Request every subscription of the program that is not requested yet. ``SubscriptionsChanged`` follows.

    ``same_session``: the socket is the same, so each subscription gets a new request id. ``with_handlers``: also
    request subscriptions that handlers of ``connectedEvent`` had requested and may request again themselves.
    """

    attempt: int
    same_session: bool
    with_handlers: bool = True


class FindActiveStreams(FrozenRecord):
    """Report which streams of this feed (``None``: all) delivered data before the loss of upstream or a farm.

    ``ActiveStreamsFound`` follows.

    ``since``: when the loss began, in monotonic seconds. ``farm`` is copied to ``ActiveStreamsFound``.
    """

    attempt: int
    feed: Feed | None
    since: float
    farm: str


class RequestStreams(FrozenRecord):
    """Request these streams again on the live socket. ``SubscriptionsChanged`` follows.

    ``unless_since``: skip each stream that has ticked after this time. Every other stream is treated as silent.
    ``anew``: the farm or upstream of the streams is back, so the tries of each stream are counted from 0 again.
    """

    attempt: int
    req_ids: tuple[Key, ...]
    unless_since: float | None = None
    anew: bool = False


class ReduceSendRate(FrozenRecord):
    """Send fewer messages per second for the rest of this session."""

    attempt: int


class SendProbe(FrozenRecord):
    """Ask the gateway for its time. ``ProbeAnswered`` follows the answer."""

    attempt: int


class SendGlobalCancel(FrozenRecord):
    """Send a global cancel. ``GlobalCancelDelivered`` with this number follows when the gateway has received it."""

    attempt: int
    number: int


class RecordGlobalCancel(FrozenRecord):
    """Record that the gateway has accepted the global cancel, so the cancel is no longer due."""


class EndSubscriptions(FrozenRecord):
    """End all streams that the program has. They are not restored later."""


class StartTimer(FrozenRecord):
    """Start or restart a timer that fires ``delay`` seconds from now.

    ``whole``: the length of the complete wait, if ``delay`` is only the rest of a longer wait.
    """

    timer: Timer
    delay: float
    whole: float = 0.0


class StopTimer(FrozenRecord):
    """Stop a timer, if it runs."""

    timer: Timer


class PublishStatus(FrozenRecord):
    """Publish this status."""

    status: Status


SessionEffect: TypeAlias = (
    StartAttempt
    | CloseSocket
    | AbortSocket
    | DiscardUnsent
    | SendStartupRequests
    | ResendStartupRequests
    | RequestBrokerState
    | AmendGapReport
    | CompareBrokerState
    | ReportGap
    | EmitConnectedEvent
    | RestoreSubscriptions
    | FindActiveStreams
    | RequestStreams
    | ReduceSendRate
    | SendProbe
    | SendGlobalCancel
    | RecordGlobalCancel
    | EndSubscriptions
)
Effect: TypeAlias = SessionEffect | IdentifyPeer | StartTimer | StopTimer | PublishStatus
