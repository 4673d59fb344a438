"""Reactions about attempts at a session: wanted, made, failed and made again, for as long as one is wanted."""

from __future__ import annotations

from ibkr.core import alarm
from ibkr.core.backoff import wait_after
from ibkr.core.effects import Abort, DiscardUnsent, StartTimer, StartUp, StopTimer
from ibkr.core.facts import (
    AttemptFailed,
    ConnectWanted,
    DisconnectWanted,
    ReconnectWanted,
    RetryWanted,
    SessionOpened,
    SocketEnded,
    Timer,
    TimerFired,
    TransportEnded,
)
from ibkr.core.failure import Failure, FailureKind
from ibkr.core.situation import Phase, RestoreState
from ibkr.core.state import UpstreamState
from ibkr.core.step import END_WITHIN, EndLost, Step

_NOT_CONFIGURED = (
    "the gateway's login does not have the account that was configured:"
    " correct ibkr.account, or log in as the user that has it"
)
_NOT_AS_BEFORE = (
    "the gateway is logged in with other accounts than before: log in as before,"
    " or disconnect() and connect() to go on with these"
)
NO_DETAIL = "the socket has ended, and nothing says why"
_NO_CURE = (FailureKind.NOT_A_GATEWAY, FailureKind.UNSUPPORTED_VERSION)


def connect_wanted(step: Step, fact: ConnectWanted) -> None:
    """Idle or failed: start over."""
    s = step.situation
    s.ever_wanted = True
    s.budget = fact.attempts
    s.had_session = False
    s.attempts_made = 0
    s.failure = None
    s.broken_off = ""
    s.failures_in_a_row = 0
    _id_is_free(step)
    s.lost_because = ""
    s.half_open = False
    s.looked = None
    s.accounts = ()
    s.out_since = step.now.mono
    alarm.begin(step)
    step.open()


def connect_wanted_again(step: Step, fact: ConnectWanted) -> None:
    """Already wanted: the more patient of the two wishes counts."""
    s = step.situation
    if s.budget is not None:
        s.budget = None if fact.attempts is None else max(s.budget, fact.attempts)


def disconnect_wanted(step: Step, fact: DisconnectWanted) -> None:
    """Whatever is under way ends."""
    step.give_up(Phase.IDLE, abort=fact.abort)


def reconnect_from_session(step: Step, _fact: ReconnectWanted) -> None:
    """Drop the session and come back now."""
    step.leave_session()
    step.situation.half_open = step.situation.session.suspect
    _session_ended(step, "reconnect() was called")
    step.end_socket(abort=False)
    step.situation.phase = Phase.CLOSING
    step.watch_end()


def retry_now(step: Step, _fact: ReconnectWanted | RetryWanted | TimerFired) -> None:
    """Between attempts: make the next one at once."""
    step.do(StopTimer(Timer.RETRY))
    step.open()


def session_opened(step: Step, fact: SessionOpened) -> None:
    """The session is there: start-up."""
    s = step.situation
    s.phase = Phase.STARTUP
    s.session.server_version = fact.server_version
    s.session.accounts = fact.accounts
    s.accounts = s.accounts or fact.accounts
    s.session.wrong_login = _wrong_login(step, {*fact.accounts})
    s.session.asked.update(fact.requests)
    s.session.restore = RestoreState.DUE if fact.to_restore else RestoreState.DONE
    s.failure = None
    s.failures_in_a_row = 0
    s.half_open = False
    _id_is_free(step)
    s.session.lateness_forgiven = False
    step.do(  # first what the gateway has work with, so that ours is done meanwhile
        StartUp(s.attempt),
        StartTimer(Timer.REQUEST, step.policy.request_timeout),
        StopTimer(Timer.ATTEMPT),
        StartTimer(Timer.LIVENESS, step.policy.probe_after),
    )
    if s.session.upstream is UpstreamState.UNKNOWN:
        step.do(StartTimer(Timer.UPSTREAM, step.policy.upstream_grace))


def _wrong_login(step: Step, accounts: set[str]) -> str:
    """Why an order would go to an account that nobody meant; empty where none would, or nothing is known."""
    configured = step.identity.account
    # With an A behind it the account of an advisor stands for all of his.
    meant = {configured, configured.removesuffix("A")} if configured else {*step.situation.accounts}
    if not accounts or meant & accounts:
        return ""
    return _NOT_CONFIGURED if configured else _NOT_AS_BEFORE


def attempt_failed(step: Step, fact: AttemptFailed) -> None:
    """The cause has shown itself."""
    fail(step, fact.failure)


def transport_ended(step: Step, fact: TransportEnded) -> None:
    """The session is over before its last messages are read: it is shown so at once, and reacted to when they are."""
    step.situation.session.transport_ended = fact.detail


def session_lost(step: Step, fact: SocketEnded) -> None:
    """The socket under a session is gone."""
    step.situation.socket_open = False
    _leave(step, Failure(FailureKind.CLOSED, fact.detail or NO_DETAIL, unanswered=fact.unanswered))


def old_socket_ended(step: Step, _fact: SocketEnded) -> None:
    """The way is free for the next attempt."""
    step.situation.socket_open = False
    step.do(StopTimer(Timer.SOCKET_END), StopTimer(Timer.END_WATCH))
    step.open()


def spent_socket_ended(step: Step, _fact: SocketEnded) -> None:
    """The socket of an attempt that counts no more is gone."""
    step.situation.socket_open = False
    step.do(StopTimer(Timer.SOCKET_END), StopTimer(Timer.END_WATCH))


def socket_end_overdue(step: Step, _fact: TimerFired) -> None:
    """It did not close in good order."""
    step.do(Abort(step.situation.attempt))


def end_lost(step: Step, fact: TimerFired) -> None:
    """It was ended, and nobody has told so. Raises ``EndLost``, and the socket counts as gone."""
    if fact.late > step.policy.lateness_tolerance:  # our own loop was blocked: what ended meanwhile may be untold yet
        step.watch_end()
        return
    step.situation.socket_open = False
    raise EndLost(f"the end of attempt {step.situation.attempt}'s socket was not told within {END_WITHIN:g} s")


def session_dead(step: Step) -> None:
    """The peer has not sent a byte for too long. An order that it has not taken must not reach it later."""
    if not step.situation.session.suspect:
        step.do(DiscardUnsent(step.situation.attempt, True))
    detail = "the gateway answered no probe: the socket was half-open"
    _leave(step, Failure(FailureKind.SILENT, detail, unanswered=True))


def port_changed(step: Step, port: int | None) -> None:
    """The gateway moves to another port and ends this session or attempt: the next attempt goes there."""
    s = step.situation
    where = "its API port" if port is None else f"its API port to {port}"
    failure = Failure(FailureKind.CLOSED, f"the gateway has changed {where} (1300)")
    if s.phase is Phase.OPENING:
        fail(step, failure)
    else:
        _leave(step, failure)
    if port is not None:  # after the failed attempt has passed the turn on: the new port is the first
        configured = step.identity.port
        s.port, s.other_port = port, configured if port != configured else None


def fail(step: Step, failure: Failure) -> None:
    """Count a failed attempt, then give up or wait, as its kind allows."""
    s, policy = step.situation, step.policy
    same = s.failure is not None and s.failure.kind is failure.kind
    s.failures_in_a_row = s.failures_in_a_row + 1 if same else 1
    s.failure = failure
    s.half_open = s.half_open and failure.unanswered
    if s.other_port is not None and s.session.server_version is None:
        s.port, s.other_port = s.other_port, s.port
    step.do(StopTimer(Timer.ATTEMPT))
    _look_at_id(step, failure)
    if _is_final(step, failure):
        step.give_up(Phase.FAILED, abort=True)
        return
    step.end_socket(abort=True)
    if s.budget is not None and not s.had_session:
        step.wait(policy.connect_pause)
    else:
        out_for = step.now.mono - s.out_since
        id_in_use_for = 0.0 if s.id_in_use_since is None else step.now.mono - s.id_in_use_since
        wait = wait_after(failure, s.failures_in_a_row, out_for, policy, step.roll(), id_in_use_for=id_in_use_for)
        step.wait(wait.left(s.attempt_started, step.now.mono))


def _is_final(step: Step, failure: Failure) -> bool:
    s = step.situation
    if s.had_session or s.budget is None:
        return False
    return failure.kind in _NO_CURE or s.attempts_made >= s.budget


def _look_at_id(step: Step, failure: Failure) -> None:
    """After a lost session 326 is most often that session, which the gateway still holds. A person may know better.

    The same for a program that was started again and waits (``connect(wait=True)``).
    """
    s, now = step.situation, step.now.mono
    tries_on = s.had_session or s.budget is None
    if failure.kind is not FailureKind.CLIENT_ID_IN_USE or not tries_on:
        _id_is_free(step)
        return
    if s.id_in_use_since is None:
        s.id_in_use_since = now
    if now - s.id_in_use_since >= step.policy.client_id_grace and s.maintenance is None:
        s.id_alert = (
            f"the gateway has refused client id {step.identity.client_id} as in use (326) for"
            f" {alarm.in_words(now - s.id_in_use_since)}: if no other program has it, restart the gateway"
        )


def _id_is_free(step: Step) -> None:
    step.situation.id_in_use_since = None
    step.situation.id_alert = ""


def _leave(step: Step, failure: Failure) -> None:
    """The session is over: come back at once, unless this happens too often, or start-up has never ended."""
    s, policy = step.situation, step.policy
    step.leave_session()
    s.half_open = failure.unanswered
    if not s.had_session:
        fail(step, failure)
        return
    _session_ended(step, failure.detail)
    if not _flaps(step):
        step.open()
        return
    often = f"{len(s.losses)} sessions lost within {policy.flap_window:g} s"
    s.lost_because += f" ({often}, so attempts wait {policy.flap_pause:g} s)"
    step.end_socket(abort=True)
    step.wait(policy.flap_pause)


def _session_ended(step: Step, cause: str) -> None:
    s = step.situation
    s.lost_because = cause
    if s.attempts_made == 0:  # it had been whole: out of it from now on
        s.out_since = step.now.mono


def _flaps(step: Step) -> bool:
    losses, now = step.situation.losses, step.now.mono
    losses.append(now)
    while losses[0] < now - step.policy.flap_window:
        del losses[0]
    return len(losses) > step.policy.flap_limit
