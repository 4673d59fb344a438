"""Reactions that begin and end attempts: connect, disconnect, retry, reconnect, a lost session, a changed port.

This file has over 300 lines because every reaction that leads to the next attempt is here.
"""

from __future__ import annotations

from ibkr.core import outage_alert
from ibkr.core.attempt_failure import Failure, FailureKind
from ibkr.core.backoff import retry_delay
from ibkr.core.effects import AbortSocket, DiscardUnsent, SendStartupRequests, StartTimer, StopTimer
from ibkr.core.events import (
    AttemptFailed,
    ConnectRequested,
    DisconnectRequested,
    ReconnectRequested,
    RetryRequested,
    SessionOpened,
    SocketClosed,
    Timer,
    TimerFired,
    TransportClosed,
)
from ibkr.core.machine_state import IN_SESSION, Phase, RestoreState
from ibkr.core.recovery import restore_subscriptions
from ibkr.core.states import UpstreamState
from ibkr.core.step import END_WITHIN, SocketCloseLost, Step

_NOT_CONFIGURED = (
    "the gateway's login does not have the configured account: correct ibkr.account, or log in as the user that has it"
)
_NOT_AS_BEFORE = (
    "the gateway is logged in with other accounts than before: log in as before,"
    " or call disconnect() and connect() to use these"
)
_NOT_THE_JOURNALS = (
    "the gateway is logged in with other accounts than those that the journal belongs to: log in as before,"
    " or give this program its own journal for these"
)
NO_DETAIL = "the socket closed, and the cause is unknown"
_NO_CURE = (FailureKind.NOT_A_GATEWAY, FailureKind.UNSUPPORTED_VERSION)


def connect_requested(step: Step, event: ConnectRequested) -> None:
    """Begin the first attempt. The phase is ``IDLE`` or ``FAILED``."""
    s = step.state
    s.ever_wanted = True
    s.budget = event.attempts
    s.had_session = False
    s.attempts_made = 0
    s.failure = None
    s.broken_off = ""
    s.failures_in_a_row = 0
    _clear_client_id_trouble(step)
    s.lost_because = ""
    s.half_open = False
    s.silent_failure = None
    s.accounts = ()
    s.out_since = step.now.mono
    outage_alert.start_calendar(step)
    step.open()


def connect_requested_again(step: Step, event: ConnectRequested) -> None:
    """A connection is already requested: keep the larger number of attempts."""
    s = step.state
    if s.budget is not None:
        s.budget = None if event.attempts is None else max(s.budget, event.attempts)


def disconnect_requested(step: Step, event: DisconnectRequested) -> None:
    """End everything."""
    step.give_up(Phase.IDLE, abort=event.abort)


def reconnect_from_session(step: Step, _event: ReconnectRequested) -> None:
    """Drop the session and begin an attempt immediately."""
    _drop_session(step, "reconnect() was called")


def change_client_id(step: Step, cause: str) -> None:
    """Begin an attempt with the client id that the fleet has assigned.

    In ``IDLE``, ``FAILED`` and ``CLOSING`` nothing is done now: the next attempt uses the new id.
    """
    s = step.state
    if s.phase in IN_SESSION:
        _drop_session(step, cause)
    elif s.phase in (Phase.WAITING, Phase.OPENING, Phase.IDENTIFYING):
        if s.budget is not None:
            s.budget += 1  # an attempt with the old client id is not counted
        step.do(StopTimer(Timer.RETRY), StopTimer(Timer.ATTEMPT))
        step.open()


def _drop_session(step: Step, cause: str) -> None:
    step.leave_session()
    step.state.half_open = step.state.session.suspect
    _session_ended(step, cause)
    step.close_socket(abort=False)
    step.state.phase = Phase.CLOSING
    step.watch_socket_close()


def retry_now(step: Step, _event: ReconnectRequested | RetryRequested | TimerFired) -> None:
    """Begin the next attempt immediately, without the rest of the wait."""
    step.do(StopTimer(Timer.RETRY))
    step.open()


def session_opened(step: Step, event: SessionOpened) -> None:
    """The session is up: begin start-up."""
    s = step.state
    s.phase = Phase.STARTUP
    s.session.server_version = event.server_version
    s.session.accounts = event.accounts
    s.accounts = s.accounts or event.accounts
    s.session.wrong_login = _wrong_login(step, {*event.accounts})
    s.session.asked.update(event.requests)
    s.session.restore_later = event.to_restore_later
    s.failure = None
    s.failures_in_a_row = 0
    s.half_open = False
    _clear_client_id_trouble(step)
    s.session.lateness_forgiven = False
    step.do(  # the requests come first, so that the gateway answers them while we do the rest
        SendStartupRequests(s.attempt),
        StartTimer(Timer.REQUEST, step.policy.request_timeout),
        StopTimer(Timer.ATTEMPT),
        StartTimer(Timer.LIVENESS, step.policy.probe_after),
    )
    s.session.last_probe_at = step.now.mono - step.policy.probe_apart  # so a probe is due only when no messages come
    if s.session.upstream is UpstreamState.UNKNOWN:
        step.do(StartTimer(Timer.UPSTREAM, step.policy.upstream_grace))
    if event.to_restore:
        restore_subscriptions(step, same_session=False, with_handlers=False)
    else:
        s.session.restore = RestoreState.DONE


def _wrong_login(step: Step, accounts: set[str]) -> str:
    """Return why an order would go to the wrong account. Empty if the account is right or the accounts are unknown."""
    configured = step.identity.account
    of_journal = {*step.state.journal_accounts}
    if accounts and of_journal and not of_journal & accounts:
        return _NOT_THE_JOURNALS
    # An advisor's account with an A at its end means all accounts of the advisor.
    meant = {configured, configured.removesuffix("A")} if configured else {*step.state.accounts}
    if not accounts or meant & accounts:
        return ""
    return _NOT_CONFIGURED if configured else _NOT_AS_BEFORE


def attempt_failed(step: Step, event: AttemptFailed) -> None:
    """Handle an attempt that failed with a known cause."""
    fail_attempt(step, event.failure)


def transport_closed(step: Step, event: TransportClosed) -> None:
    """Show the loss of the session immediately.

    The last messages of the session are still unread. ``SocketClosed`` follows after these messages.
    """
    step.state.session.transport_closed = event.detail


def session_lost(step: Step, event: SocketClosed) -> None:
    """Handle the close of a session's socket."""
    step.state.socket_open = False
    _fail_session(step, Failure(FailureKind.CLOSED, event.detail or NO_DETAIL, unanswered=event.unanswered))


def old_socket_closed(step: Step, _event: SocketClosed) -> None:
    """The old socket is closed: begin the next attempt."""
    step.state.socket_open = False
    step.do(StopTimer(Timer.SOCKET_END), StopTimer(Timer.END_WATCH))
    step.open()


def old_socket_closed_late(step: Step, _event: SocketClosed) -> None:
    """Store that the socket of an earlier attempt has closed. Nothing is waiting for this close."""
    step.state.socket_open = False
    step.do(StopTimer(Timer.SOCKET_END), StopTimer(Timer.END_WATCH))


def socket_close_overdue(step: Step, _event: TimerFired) -> None:
    """Abort the socket, because it did not close gracefully in time."""
    step.do(AbortSocket(step.state.attempt))


def socket_close_lost(step: Step, event: TimerFired) -> None:
    """Raise ``SocketCloseLost``: the close of the socket was never reported. Treat the socket as closed from now on."""
    if event.late > step.policy.lateness_tolerance:  # our own loop was blocked, so the close may still be reported
        step.watch_socket_close()
        return
    step.state.socket_open = False
    raise SocketCloseLost(
        f"the close of attempt {step.state.attempt}'s socket was not reported within {END_WITHIN:g} s"
    )


def session_dead(step: Step) -> None:
    """End a session whose peer answers no probe. If an order has not reached the peer, it must not reach it later."""
    if not step.state.session.suspect:
        step.do(DiscardUnsent(step.state.attempt, True))
    detail = "the gateway answered no probe: the socket was half-open"
    _fail_session(step, Failure(FailureKind.SILENT, detail, unanswered=True))


def port_changed(step: Step, port: int | None) -> None:
    """End the session or attempt, and make the next attempt at the port that the gateway has announced (1300)."""
    s = step.state
    where = "its API port" if port is None else f"its API port to {port}"
    failure = Failure(FailureKind.CLOSED, f"the gateway has changed {where} (1300)")
    if s.phase is Phase.OPENING:
        fail_attempt(step, failure)
    else:
        _fail_session(step, failure)
    if port is not None:  # after fail_attempt, which may set another port
        configured = step.identity.port
        s.port, s.other_port = port, configured if port != configured else None


def fail_attempt(step: Step, failure: Failure) -> None:
    """Count a failed attempt, then wait or stop trying."""
    s, policy = step.state, step.policy
    same = s.failure is not None and s.failure.kind is failure.kind
    s.failures_in_a_row = s.failures_in_a_row + 1 if same else 1
    s.failure = failure
    s.half_open = s.half_open and failure.unanswered
    if s.other_port is not None and s.session.server_version is None:
        s.port, s.other_port = s.other_port, s.port
    step.do(StopTimer(Timer.ATTEMPT))
    _check_client_id(step, failure)
    knows_id = _is_own_session(step, failure)
    if knows_id and s.budget is not None:
        s.budget += 1  # only our own earlier session made this attempt fail, so it is not counted
    if _is_final(step, failure):
        step.give_up(Phase.FAILED, abort=True)
        return
    step.close_socket(abort=True)
    if s.budget is not None and not s.had_session and not knows_id:
        step.wait(policy.connect_pause)
    else:
        out_for = step.now.mono - s.out_since
        id_in_use_for = 0.0 if s.id_in_use_since is None else step.now.mono - s.id_in_use_since
        wait = retry_delay(failure, s.failures_in_a_row, out_for, policy, step.roll(), id_in_use_for=id_in_use_for)
        step.wait(wait.left(s.attempt_started, step.now.mono))


def _is_final(step: Step, failure: Failure) -> bool:
    s = step.state
    if s.had_session or s.budget is None:
        return False
    return failure.kind in _NO_CURE or s.attempts_made >= s.budget


def _is_own_session(step: Step, failure: Failure) -> bool:
    """Whether our own earlier session uses the client id: the journal has a session, or the fleet assigned the id."""
    s = step.state
    return failure.kind is FailureKind.CLIENT_ID_IN_USE and (s.journal_session or s.lease is not None)


def _check_client_id(step: Step, failure: Failure) -> None:
    """Raise the alert if the gateway refuses the client id (326) for too long.

    For some time after a lost session, the client id is usually still in use at the gateway. It is also in use after a
    restart of a program that waits (``connect(wait=True)``).
    """
    s, now = step.state, step.now.mono
    tries_on = s.had_session or s.budget is None or s.journal_session or s.lease is not None
    if failure.kind is not FailureKind.CLIENT_ID_IN_USE or not tries_on:
        _clear_client_id_trouble(step)
        return
    if s.id_in_use_since is None:
        s.id_in_use_since = now
    policy = step.policy
    grace = policy.client_id_grace if s.lease is None else min(policy.client_id_later_after, policy.client_id_grace)
    if now - s.id_in_use_since >= grace and s.maintenance is None:
        client_id = step.identity.client_id if s.client_id is None else s.client_id
        s.id_alert = (
            f"the gateway has refused client id {client_id} as in use (326) for"
            f" {outage_alert.format_duration(now - s.id_in_use_since)}:"
            " if no other program holds it, restart the gateway"
        )


def _clear_client_id_trouble(step: Step) -> None:
    step.state.id_in_use_since = None
    step.state.id_alert = ""


def _fail_session(step: Step, failure: Failure) -> None:
    """Reconnect immediately after the end of a session. Wait if sessions are lost too often or no start-up ended."""
    s, policy = step.state, step.policy
    step.leave_session()
    s.half_open = failure.unanswered
    if not s.had_session:
        fail_attempt(step, failure)
        return
    _session_ended(step, failure.detail)
    if not _is_flapping(step):
        step.open()
        return
    often = f"{len(s.losses)} sessions lost within {policy.flap_window:g} s"
    s.lost_because += f" ({often}, so attempts wait {policy.flap_pause:g} s)"
    step.close_socket(abort=True)
    step.wait(policy.flap_pause)


def _session_ended(step: Step, cause: str) -> None:
    s = step.state
    s.lost_because = cause
    if s.attempts_made == 0:  # recovery was complete until now
        s.out_since = step.now.mono


def _is_flapping(step: Step) -> bool:
    losses, now = step.state.losses, step.now.mono
    losses.append(now)
    while losses[0] < now - step.policy.flap_window:
        del losses[0]
    return len(losses) > step.policy.flap_limit
