"""The transition table: for each phase and event, the reaction and the allowed next phases.

An event without a row is illegal and raises ``IllegalEvent``. A reaction that leads to a phase that its row does not
allow raises it, too. The diagram in the docs is drawn from this table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ibkr.core import (
    attempts,
    code_handling,
    data_loss,
    halt_and_lease,
    liveness,
    outage_alert,
    reconciliation,
    recovery,
    stream_failures,
    unanswered_attempts,
)
from ibkr.core.events import (
    ActiveStreamsFound,
    AttemptFailed,
    ClockJumped,
    CodeReceived,
    ConnectRequested,
    DisconnectRequested,
    FarmStatusReceived,
    GatewayStatusChanged,
    GlobalCancelDelivered,
    Halted,
    JournalOpened,
    JournalTroubleChanged,
    LeaseChanged,
    LimitReached,
    PeerIdentified,
    ProbeAnswered,
    ProbeRequested,
    ReconnectRequested,
    Resumed,
    RetryRequested,
    RowsNotDecoded,
    SessionOpened,
    SocketClosed,
    StartupAnswered,
    StartupRefused,
    StartupRequested,
    SubscriptionsChanged,
    Timer,
    TransportClosed,
    UnconfirmedOrdersChanged,
)
from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.machine_state import Phase
from ibkr.core.step import Step

Trigger: TypeAlias = type[Any] | Timer
Reaction: TypeAlias = Callable[[Step, Any], None]


class Transition(FrozenRecord):
    """A reaction, and the phases in which the state machine may be after it."""

    react: Reaction
    to: frozenset[Phase]


def _row(react: Reaction, *to: Phase) -> Transition:
    return Transition(react, frozenset(to))


def ignore_event(_step: Step, _event: object) -> None:
    """The event is expected in this phase, and has no effect."""


P = Phase
_SESSION = (P.STARTUP, P.RESTORING, P.UP)
_WANTED = (P.OPENING, P.IDENTIFYING, P.CLOSING, P.WAITING, *_SESSION)
_SETTLED = (P.RESTORING, P.UP)
_TRY_AGAIN = (P.WAITING, P.FAILED)

TRANSITIONS: dict[tuple[Phase, Trigger], Transition] = {
    # commands of the caller
    (P.IDLE, ConnectRequested): _row(attempts.connect_requested, P.OPENING, P.CLOSING),
    (P.FAILED, ConnectRequested): _row(attempts.connect_requested, P.OPENING, P.CLOSING),
    **{(phase, ConnectRequested): _row(attempts.connect_requested_again, phase) for phase in _WANTED},
    **{(phase, DisconnectRequested): _row(attempts.disconnect_requested, P.IDLE) for phase in Phase},
    **{
        (phase, ReconnectRequested): _row(ignore_event, phase)
        for phase in (P.IDLE, P.FAILED, P.OPENING, P.IDENTIFYING, P.CLOSING)
    },
    (P.WAITING, ReconnectRequested): _row(attempts.retry_now, P.OPENING, P.CLOSING),
    **{(phase, ReconnectRequested): _row(attempts.reconnect_from_session, P.CLOSING) for phase in _SESSION},
    **{(phase, RetryRequested): _row(ignore_event, phase) for phase in Phase if phase not in (P.WAITING, *_SESSION)},
    **{(phase, RetryRequested): _row(reconciliation.recheck_read_only, phase, P.STARTUP) for phase in _SESSION},
    (P.WAITING, RetryRequested): _row(attempts.retry_now, P.OPENING, P.CLOSING),
    **{(phase, ProbeRequested): _row(ignore_event, phase) for phase in Phase if phase not in _SESSION},
    **{(phase, ProbeRequested): _row(liveness.probe_now, phase) for phase in _SESSION},
    **{(phase, UnconfirmedOrdersChanged): _row(recovery.unconfirmed_orders_changed, phase) for phase in Phase},
    **{(phase, GatewayStatusChanged): _row(halt_and_lease.gateway_status_changed, phase) for phase in Phase},
    **{(phase, Halted): _row(halt_and_lease.halted, phase) for phase in Phase},
    **{(phase, Resumed): _row(halt_and_lease.resumed, phase) for phase in Phase},
    **{(phase, GlobalCancelDelivered): _row(halt_and_lease.global_cancel_delivered, phase) for phase in Phase},
    **{(phase, JournalOpened): _row(halt_and_lease.journal_opened, phase) for phase in Phase},
    **{(phase, JournalTroubleChanged): _row(halt_and_lease.journal_trouble_changed, phase) for phase in Phase},
    **{(phase, LeaseChanged): _row(halt_and_lease.lease_changed, phase) for phase in (P.IDLE, P.FAILED, P.CLOSING)},
    **{(phase, LeaseChanged): _row(halt_and_lease.lease_changed, phase, P.CLOSING) for phase in (P.OPENING, *_SESSION)},
    **{
        (phase, LeaseChanged): _row(halt_and_lease.lease_changed, phase, P.OPENING, P.CLOSING)
        for phase in (P.IDENTIFYING, P.WAITING)
    },
    # the clock, and outages that last too long
    **{(phase, ClockJumped): _row(ignore_event, phase) for phase in (P.IDLE, P.FAILED)},
    **{
        (phase, ClockJumped): _row(outage_alert.clock_jumped, phase)
        for phase in (P.OPENING, P.IDENTIFYING, P.CLOSING, P.WAITING)
    },
    **{(phase, ClockJumped): _row(liveness.clock_jumped, phase) for phase in _SESSION},
    **{(phase, Timer.CALENDAR): _row(outage_alert.update_maintenance, phase) for phase in _WANTED},
    **{(phase, Timer.ALERT): _row(outage_alert.raise_alert, phase) for phase in _WANTED},
    # one attempt
    (P.OPENING, CodeReceived): _row(code_handling.code_in_attempt, P.OPENING, *_TRY_AGAIN),
    (P.OPENING, FarmStatusReceived): _row(code_handling.farm_status_received, P.OPENING),
    (P.OPENING, SessionOpened): _row(attempts.session_opened, P.STARTUP),
    # the program may cancel a subscription before the session is open
    (P.OPENING, SubscriptionsChanged): _row(ignore_event, P.OPENING),
    (P.OPENING, TransportClosed): _row(attempts.transport_closed, P.OPENING),
    (P.OPENING, RowsNotDecoded): _row(ignore_event, P.OPENING),
    (P.OPENING, AttemptFailed): _row(attempts.attempt_failed, *_TRY_AGAIN),
    (P.OPENING, SocketClosed): _row(unanswered_attempts.socket_closed_in_attempt, P.IDENTIFYING, *_TRY_AGAIN),
    (P.OPENING, Timer.ATTEMPT): _row(unanswered_attempts.attempt_timed_out, P.OPENING, P.IDENTIFYING, *_TRY_AGAIN),
    (P.IDENTIFYING, PeerIdentified): _row(unanswered_attempts.peer_identified, *_TRY_AGAIN),
    (P.IDENTIFYING, Timer.ATTEMPT): _row(unanswered_attempts.identification_overdue, *_TRY_AGAIN),
    (P.IDENTIFYING, SocketClosed): _row(attempts.old_socket_closed_late, P.IDENTIFYING),
    # sometimes the peer is identified too late: the attempt that needed the result has already ended
    **{(phase, PeerIdentified): _row(ignore_event, phase) for phase in P if phase is not P.IDENTIFYING},
    # between attempts, events of a closing socket do not matter
    **{
        (phase, event): _row(ignore_event, phase)
        for phase in (P.IDLE, P.FAILED, P.IDENTIFYING, P.CLOSING, P.WAITING)
        for event in (
            CodeReceived,
            FarmStatusReceived,
            SessionOpened,
            AttemptFailed,
            StartupRequested,
            StartupAnswered,
            StartupRefused,
            RowsNotDecoded,
            TransportClosed,
            SubscriptionsChanged,
            ActiveStreamsFound,
            LimitReached,
            ProbeAnswered,
        )
    },
    (P.WAITING, Timer.RETRY): _row(attempts.retry_now, P.OPENING, P.CLOSING),
    (P.WAITING, SocketClosed): _row(attempts.old_socket_closed_late, P.WAITING),
    (P.CLOSING, SocketClosed): _row(attempts.old_socket_closed, P.OPENING),
    (P.CLOSING, Timer.SOCKET_END): _row(attempts.socket_close_overdue, P.CLOSING),
    **{(phase, Timer.END_WATCH): _row(attempts.socket_close_lost, phase) for phase in (P.IDLE, P.CLOSING)},
    (P.IDLE, SocketClosed): _row(attempts.old_socket_closed_late, P.IDLE),
    (P.IDLE, Timer.SOCKET_END): _row(attempts.socket_close_overdue, P.IDLE),
    (P.FAILED, SocketClosed): _row(attempts.old_socket_closed_late, P.FAILED),
    # a session
    **{(phase, TransportClosed): _row(attempts.transport_closed, phase) for phase in _SESSION},
    (P.STARTUP, SocketClosed): _row(attempts.session_lost, P.OPENING, *_TRY_AGAIN),
    **{(phase, SocketClosed): _row(attempts.session_lost, P.OPENING, P.WAITING) for phase in _SETTLED},
    (P.STARTUP, CodeReceived): _row(code_handling.code_in_session, P.STARTUP, P.CLOSING, *_TRY_AGAIN),
    **{
        (phase, CodeReceived): _row(code_handling.code_in_session, phase, P.STARTUP, P.CLOSING, P.WAITING)
        for phase in _SETTLED
    },
    **{(phase, FarmStatusReceived): _row(code_handling.farm_status_received, phase) for phase in _SESSION},
    **{(phase, LimitReached): _row(code_handling.limit_reached, phase) for phase in (P.OPENING, *_SESSION)},
    **{(phase, ProbeAnswered): _row(liveness.probe_answered, phase) for phase in _SESSION},
    (P.STARTUP, Timer.LIVENESS): _row(liveness.check_liveness, P.STARTUP, P.CLOSING, *_TRY_AGAIN),
    **{(phase, Timer.LIVENESS): _row(liveness.check_liveness, phase, P.CLOSING, P.WAITING) for phase in _SETTLED},
    **{(phase, Timer.UPSTREAM): _row(code_handling.upstream_assumed, phase) for phase in _SESSION},
    (P.STARTUP, StartupRequested): _row(recovery.startup_requested, P.STARTUP),
    (P.STARTUP, StartupAnswered): _row(recovery.startup_answered, P.STARTUP, P.RESTORING, P.UP),
    (P.RESTORING, StartupAnswered): _row(recovery.startup_answered, P.RESTORING),
    (P.UP, StartupAnswered): _row(recovery.startup_answered, P.UP),
    (P.STARTUP, StartupRefused): _row(recovery.startup_refused, P.STARTUP, P.RESTORING, P.UP),
    **{(phase, StartupRefused): _row(recovery.startup_refused, phase) for phase in _SETTLED},
    (P.STARTUP, RowsNotDecoded): _row(recovery.rows_not_decoded, P.STARTUP, P.RESTORING, P.UP),
    **{(phase, RowsNotDecoded): _row(recovery.rows_not_decoded, phase) for phase in _SETTLED},
    (P.STARTUP, Timer.REQUEST): _row(recovery.startup_overdue, P.STARTUP, P.RESTORING, P.UP),
    **{(phase, Timer.REQUEST): _row(recovery.request_missing_again, phase) for phase in _SETTLED},
    **{(phase, Timer.LATE_LOOK): _row(reconciliation.request_late_executions, phase) for phase in _SESSION},
    **{(phase, Timer.READ_ONLY): _row(reconciliation.recheck_read_only, phase, P.STARTUP) for phase in _SESSION},
    **{(phase, ActiveStreamsFound): _row(stream_failures.active_streams_found, phase) for phase in _SESSION},
    **{(phase, Timer.WATCH): _row(stream_failures.check_watched_streams, phase) for phase in _SESSION},
    **{(phase, Timer.STREAMS): _row(stream_failures.retry_lost_streams, phase) for phase in _SESSION},
    **{(phase, Timer.RESYNC): _row(data_loss.resync, phase, P.STARTUP) for phase in _SESSION},
    (P.STARTUP, SubscriptionsChanged): _row(recovery.subscriptions_changed, P.STARTUP),
    (P.RESTORING, SubscriptionsChanged): _row(recovery.subscriptions_changed, P.RESTORING, P.UP),
    (P.UP, SubscriptionsChanged): _row(recovery.subscriptions_changed, P.UP),
    (P.STARTUP, Timer.RESTORE): _row(recovery.restore_finished, P.STARTUP),
    (P.RESTORING, Timer.RESTORE): _row(recovery.restore_finished, P.UP),
}
