"""Every transition, in one table: in which phase, on what, which reaction, and where it may lead.

What stands in no row is illegal and raises ``IllegalFact``; a reaction that leads elsewhere raises too. The diagram in
the docs is drawn from this table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ibkr.core import alarm, attempts, liveness, streams, sync, unanswered, upstream
from ibkr.core.facts import (
    AttemptFailed,
    ClockJumped,
    CodeReceived,
    ConnectWanted,
    DisconnectWanted,
    FarmsTold,
    GatewayTold,
    Heard,
    OrdersUnconfirmed,
    PeerSeen,
    ProbeWanted,
    ReconnectWanted,
    RetryWanted,
    RowsUnreadable,
    SessionOpened,
    SocketEnded,
    StartupAnswered,
    StartupAsked,
    StreamsWatched,
    SubscriptionsMoved,
    Timer,
    TransportEnded,
)
from ibkr.core.situation import Phase
from ibkr.core.step import Step
from ibkr.core.value import Value

Trigger: TypeAlias = type[Any] | Timer
Reaction: TypeAlias = Callable[[Step, Any], None]


class Row(Value):
    """A reaction, and the phases that it may lead to."""

    react: Reaction
    to: frozenset[Phase]


def _row(react: Reaction, *to: Phase) -> Row:
    return Row(react, frozenset(to))


def nothing(_step: Step, _fact: object) -> None:
    """Known, and without consequence in this phase."""


def gateway_told(step: Step, fact: GatewayTold) -> None:
    """The gateway's process is only shown: what the connection does follows from its own socket."""
    step.situation.gateway = fact.gateway


P = Phase
_SESSION = (P.STARTUP, P.RESTORING, P.UP)
_WANTED = (P.OPENING, P.LOOKING, P.CLOSING, P.WAITING, *_SESSION)
_SETTLED = (P.RESTORING, P.UP)
_TRY_AGAIN = (P.WAITING, P.FAILED)

TABLE: dict[tuple[Phase, Trigger], Row] = {
    # commands of the caller
    (P.IDLE, ConnectWanted): _row(attempts.connect_wanted, P.OPENING, P.CLOSING),
    (P.FAILED, ConnectWanted): _row(attempts.connect_wanted, P.OPENING, P.CLOSING),
    **{(phase, ConnectWanted): _row(attempts.connect_wanted_again, phase) for phase in _WANTED},
    **{(phase, DisconnectWanted): _row(attempts.disconnect_wanted, P.IDLE) for phase in Phase},
    **{(phase, ReconnectWanted): _row(nothing, phase) for phase in (P.IDLE, P.FAILED, P.OPENING, P.LOOKING, P.CLOSING)},
    (P.WAITING, ReconnectWanted): _row(attempts.retry_now, P.OPENING, P.CLOSING),
    **{(phase, ReconnectWanted): _row(attempts.reconnect_from_session, P.CLOSING) for phase in _SESSION},
    **{(phase, RetryWanted): _row(nothing, phase) for phase in Phase if phase is not P.WAITING},
    (P.WAITING, RetryWanted): _row(attempts.retry_now, P.OPENING, P.CLOSING),
    **{(phase, ProbeWanted): _row(nothing, phase) for phase in Phase if phase not in _SESSION},
    **{(phase, ProbeWanted): _row(liveness.probe_now, phase) for phase in _SESSION},
    **{(phase, OrdersUnconfirmed): _row(sync.orders_unconfirmed, phase) for phase in Phase},
    **{(phase, GatewayTold): _row(gateway_told, phase) for phase in Phase},
    # the clock, and a trouble that lasts
    **{(phase, ClockJumped): _row(nothing, phase) for phase in (P.IDLE, P.FAILED)},
    **{(phase, ClockJumped): _row(alarm.clock_jumped, phase) for phase in (P.OPENING, P.LOOKING, P.CLOSING, P.WAITING)},
    **{(phase, ClockJumped): _row(liveness.clock_jumped, phase) for phase in _SESSION},
    **{(phase, Timer.CALENDAR): _row(alarm.look_at_calendar, phase) for phase in _WANTED},
    **{(phase, Timer.ALERT): _row(alarm.overdue, phase) for phase in _WANTED},
    # one attempt
    (P.OPENING, CodeReceived): _row(upstream.code_in_attempt, P.OPENING, *_TRY_AGAIN),
    (P.OPENING, FarmsTold): _row(upstream.farms_told, P.OPENING),
    (P.OPENING, SessionOpened): _row(attempts.session_opened, P.STARTUP),
    # the caller may cancel a subscription that waits for its session
    (P.OPENING, SubscriptionsMoved): _row(nothing, P.OPENING),
    (P.OPENING, TransportEnded): _row(attempts.transport_ended, P.OPENING),
    (P.OPENING, RowsUnreadable): _row(nothing, P.OPENING),
    (P.OPENING, AttemptFailed): _row(attempts.attempt_failed, *_TRY_AGAIN),
    (P.OPENING, SocketEnded): _row(unanswered.socket_ended_in_attempt, P.LOOKING, *_TRY_AGAIN),
    (P.OPENING, Timer.ATTEMPT): _row(unanswered.attempt_timed_out, P.OPENING, P.LOOKING, *_TRY_AGAIN),
    (P.LOOKING, PeerSeen): _row(unanswered.peer_seen, *_TRY_AGAIN),
    (P.LOOKING, Timer.ATTEMPT): _row(unanswered.look_overdue, *_TRY_AGAIN),
    (P.LOOKING, SocketEnded): _row(attempts.spent_socket_ended, P.LOOKING),
    # the look is no attempt's news: it may end after what it was begun for
    **{(phase, PeerSeen): _row(nothing, phase) for phase in P if phase is not P.LOOKING},
    # between attempts: news of a socket that is on its way out counts no more
    **{
        (phase, fact): _row(nothing, phase)
        for phase in (P.IDLE, P.FAILED, P.LOOKING, P.CLOSING, P.WAITING)
        for fact in (
            CodeReceived,
            FarmsTold,
            SessionOpened,
            AttemptFailed,
            StartupAsked,
            StartupAnswered,
            RowsUnreadable,
            TransportEnded,
            SubscriptionsMoved,
            StreamsWatched,
            Heard,
        )
    },
    (P.WAITING, Timer.RETRY): _row(attempts.retry_now, P.OPENING, P.CLOSING),
    (P.WAITING, SocketEnded): _row(attempts.spent_socket_ended, P.WAITING),
    (P.CLOSING, SocketEnded): _row(attempts.old_socket_ended, P.OPENING),
    (P.CLOSING, Timer.SOCKET_END): _row(attempts.socket_end_overdue, P.CLOSING),
    **{(phase, Timer.END_WATCH): _row(attempts.end_lost, phase) for phase in (P.IDLE, P.CLOSING)},
    (P.IDLE, SocketEnded): _row(attempts.spent_socket_ended, P.IDLE),
    (P.IDLE, Timer.SOCKET_END): _row(attempts.socket_end_overdue, P.IDLE),
    (P.FAILED, SocketEnded): _row(attempts.spent_socket_ended, P.FAILED),
    # a session
    **{(phase, TransportEnded): _row(attempts.transport_ended, phase) for phase in _SESSION},
    (P.STARTUP, SocketEnded): _row(attempts.session_lost, P.OPENING, *_TRY_AGAIN),
    **{(phase, SocketEnded): _row(attempts.session_lost, P.OPENING, P.WAITING) for phase in _SETTLED},
    (P.STARTUP, CodeReceived): _row(upstream.code_in_session, P.STARTUP, P.CLOSING, *_TRY_AGAIN),
    **{
        (phase, CodeReceived): _row(upstream.code_in_session, phase, P.STARTUP, P.CLOSING, P.WAITING)
        for phase in _SETTLED
    },
    **{(phase, FarmsTold): _row(upstream.farms_told, phase) for phase in _SESSION},
    **{(phase, Heard): _row(liveness.heard, phase) for phase in _SESSION},
    (P.STARTUP, Timer.LIVENESS): _row(liveness.silence_checked, P.STARTUP, P.CLOSING, *_TRY_AGAIN),
    **{(phase, Timer.LIVENESS): _row(liveness.silence_checked, phase, P.CLOSING, P.WAITING) for phase in _SETTLED},
    **{(phase, Timer.UPSTREAM): _row(upstream.upstream_assumed, phase) for phase in _SESSION},
    (P.STARTUP, StartupAsked): _row(sync.startup_asked, P.STARTUP),
    (P.STARTUP, StartupAnswered): _row(sync.startup_answered, P.STARTUP, P.RESTORING, P.UP),
    (P.RESTORING, StartupAnswered): _row(sync.startup_answered, P.RESTORING),
    (P.UP, StartupAnswered): _row(sync.startup_answered, P.UP),
    (P.STARTUP, RowsUnreadable): _row(sync.rows_unreadable, P.STARTUP, P.RESTORING, P.UP),
    **{(phase, RowsUnreadable): _row(sync.rows_unreadable, phase) for phase in _SETTLED},
    (P.STARTUP, Timer.REQUEST): _row(sync.startup_overdue, P.STARTUP, P.RESTORING, P.UP),
    **{(phase, Timer.REQUEST): _row(sync.missing_overdue, phase) for phase in _SETTLED},
    **{(phase, StreamsWatched): _row(streams.streams_watched, phase) for phase in _SESSION},
    # a restore asks for all that there is: no stream is minded meanwhile
    **{(phase, Timer.WATCH): _row(streams.watch_over, phase) for phase in (P.STARTUP, P.UP)},
    **{(phase, Timer.STREAMS): _row(streams.ask_for_ended, phase) for phase in (P.STARTUP, P.UP)},
    (P.STARTUP, SubscriptionsMoved): _row(sync.subscriptions_moved, P.STARTUP),
    (P.RESTORING, SubscriptionsMoved): _row(sync.subscriptions_moved, P.RESTORING, P.UP),
    (P.UP, SubscriptionsMoved): _row(sync.subscriptions_moved, P.UP),
    (P.RESTORING, Timer.RESTORE): _row(sync.restore_over, P.UP),
}
