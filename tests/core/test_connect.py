"""connect() and disconnect(): the number of attempts, the pauses, what ends them, what is left."""

import pytest

from ibkr.core import effects as do
from ibkr.core.errors import Failure
from ibkr.core.errors import FailureKind as K
from ibkr.core.events import (
    AttemptFailed,
    ConnectRequested,
    DisconnectRequested,
    ReconnectRequested,
    SocketClosed,
    Timer,
)
from ibkr.core.machine_state import Phase as P
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import SessionState

ALL = list(P)
LIVING = [P.OPENING, P.CLOSING, P.WAITING, P.STARTUP, P.RESTORING, P.UP]


def test_before_connect_nothing_is_wanted(rig):
    assert rig.state is S.DISCONNECTED
    assert rig.status.reason == "connect() has not been called"
    assert rig.machine.is_quiet
    assert not rig.status.may_trade
    assert not rig.status.is_connected


def test_connect_opens_one_attempt_that_waits_two_seconds_for_an_answer_to_its_syn(rig):
    effects = rig.event(ConnectRequested(3))
    assert effects == [
        do.StartAttempt(1, 7497),
        do.StartTimer(Timer.ATTEMPT, 2.0),
        do.StartTimer(Timer.ALERT, 300.0),
        do.PublishStatus(rig.status),
    ]
    assert (rig.state, rig.status.attempt, rig.status.session) == (S.CONNECTING, 1, SessionState.OPENING)
    assert rig.status.reason == "the first attempt is under way"
    assert not rig.machine.is_quiet


def test_the_way_up(rig):
    rig.connect()
    rig.come_up()
    assert rig.states == ["CONNECTING", "SYNCING", "READY"]
    assert (rig.status.server_version, rig.status.accounts) == (178, ("DU1234567",))
    assert (rig.status.attempt, rig.status.outages, rig.status.last_error) == (0, 0, "")
    assert set(rig.running) == {Timer.LIVENESS}


def test_three_attempts_one_second_from_end_to_start_then_the_last_cause(rig):
    rig.connect()
    rig.advance(0.3)
    rig.refuse()
    assert rig.status.next_retry_at is not None
    assert rig.status.reason == "connection refused"
    rig.advance(1.1)
    rig.refuse(K.CLOSED, "closed")
    rig.advance(1.0)
    assert rig.state is S.CONNECTING
    assert [start for _, start in rig.opened] == [1000.0, 1001.3, 1002.4]
    rig.advance(0.2)
    rig.refuse(K.SILENT, "not a word")
    assert rig.state is S.FAILED
    assert (rig.machine.failure.kind, rig.machine.attempts_made, rig.machine.attempts) == (K.SILENT, 3, 3)
    assert (rig.status.reason, rig.status.last_error) == ("not a word", "silent: not a word")
    assert (rig.status.next_retry_at, rig.running) == (None, {})
    assert rig.machine.is_quiet
    rig.advance(100)
    assert len(rig.opened) == 3


@pytest.mark.parametrize("kind", [K.NOT_A_GATEWAY, K.UNSUPPORTED_VERSION])
def test_no_retry_cures_this_so_connect_fails_at_the_first(rig, kind):
    rig.connect()
    rig.event(AttemptFailed(1, Failure(kind, "something else answers")))
    assert (rig.state, rig.machine.attempts_made) == (S.FAILED, 1)
    assert do.AbortSocket(1) in rig.orders
    assert not rig.machine.is_quiet, "the socket has not ended yet"
    rig.end()
    assert rig.machine.is_quiet


@pytest.mark.parametrize("kind", list(K))
def test_wait_never_gives_up(rig, kind):
    rig.connect(None)
    for _ in range(200):
        rig.refuse(kind)
        assert rig.state is S.CONNECTING
        rig.advance(10)
    assert len(rig.opened) == 201


def test_a_second_connect_can_only_make_the_first_more_patient(rig):
    rig.connect(2)
    rig.connect(1)
    rig.refuse()
    rig.advance(1)
    rig.connect(3)
    rig.refuse()
    rig.advance(1)
    assert rig.state is S.CONNECTING
    rig.connect(None)
    rig.connect(1)
    rig.refuse()
    rig.advance(1)
    assert rig.state is S.CONNECTING


def test_a_session_lost_in_its_start_up_is_a_failed_attempt_of_connect(rig):
    rig.connect(2)
    rig.open_session()
    rig.end("EOF")
    assert (rig.state, rig.machine.failure.kind) == (S.CONNECTING, K.CLOSED)
    assert rig.delays[-1] == (Timer.RETRY, 1.0)
    rig.advance(1)
    rig.open_session()
    rig.end("EOF")
    assert (rig.state, rig.status.reason, rig.machine.attempts_made) == (S.FAILED, "EOF", 2)


def test_an_attempt_that_uses_its_complete_timeout_is_silent_once_accepted(rig):
    rig.connect()
    rig.accept()
    rig.advance(5)
    assert (rig.machine.failure.kind, rig.orders[-1]) == (K.SILENT, do.AbortSocket(1))
    rig.end("aborted")
    assert rig.machine.failure.detail == "the port accepted, then sent nothing for 5 s"


def test_an_attempt_that_is_never_accepted_is_unreachable(rig):
    rig.connect()
    rig.advance(2)
    assert rig.machine.failure.kind is K.UNREACHABLE
    assert rig.machine.failure.detail == "no answer to the TCP connection for 2 s"


def test_a_socket_that_outlives_the_pause_is_awaited_before_the_next_attempt(rig):
    rig.connect()
    rig.accept()
    rig.advance(6)
    assert (rig.machine.phase, len(rig.opened)) == (P.CLOSING, 1)
    rig.end()
    assert (rig.machine.phase, rig.attempt) == (P.OPENING, 2)


def test_client_id_in_use_on_a_first_connection_fails_with_the_budget(rig):
    rig.connect()
    for _ in range(3):
        rig.code(326, text="Unable to connect as the client id is already in use.")
        rig.end()
        rig.advance(1)
    assert (rig.state, rig.machine.failure.kind) == (S.FAILED, K.CLIENT_ID_IN_USE)
    assert rig.machine.failure.detail == "client id 7 is already in use"
    assert len(rig.opened) == 3


def test_connect_after_failed_starts_over(rig, bring):
    bring(rig, P.FAILED)
    rig.connect()
    assert (rig.state, rig.status.attempt, rig.machine.failure, rig.status.last_error) == (S.CONNECTING, 1, None, "")


@pytest.mark.parametrize("phase", LIVING)
def test_connect_while_wanted_changes_nothing(new_rig, bring, phase):
    rig = new_rig()
    bring(rig, phase)
    before = rig.status
    rig.forget()
    assert rig.event(ConnectRequested(3)) == []
    assert rig.status == before


@pytest.mark.parametrize("abort", [False, True])
@pytest.mark.parametrize("phase", ALL)
def test_disconnect_wins_in_every_phase(new_rig, bring, phase, abort):
    rig = new_rig()
    bring(rig, phase)
    was_open = rig.socket
    rig.forget()
    effects = rig.event(DisconnectRequested(abort))
    assert (rig.state, rig.status.next_retry_at) == (S.DISCONNECTED, None)
    assert rig.status.reason == ("disconnected" if phase is not P.IDLE else "connect() has not been called")
    assert do.EndSubscriptions() in effects
    assert (do.AbortSocket if abort else do.CloseSocket) in {type(effect) for effect in effects} or was_open is None
    assert set(rig.running) == ({Timer.SOCKET_END} if was_open and not abort else set())
    assert rig.machine.is_quiet is (was_open is None)
    if was_open:
        rig.end()
    assert rig.machine.is_quiet
    rig.advance(3600)
    assert not [order for order in rig.orders if isinstance(order, do.StartAttempt)]
    assert (rig.state, rig.running) == (S.DISCONNECTED, {})


def test_a_close_in_good_order_has_its_grace_then_the_socket_is_aborted(ready):
    ready.disconnect()
    assert ready.orders == [
        do.EndSubscriptions(),
        do.CloseSocket(1),
    ]  # EndSubscriptions comes first, because the library forgets the streams when the socket closes
    ready.advance(0.499)
    assert ready.orders[-1] == do.CloseSocket(1)
    ready.advance(0.002)
    assert ready.orders[-1] == do.AbortSocket(1)
    assert not ready.machine.is_quiet
    ready.end()
    assert ready.machine.is_quiet


def test_a_second_disconnect_may_be_less_patient(ready):
    ready.disconnect()
    ready.disconnect(abort=True)
    assert do.AbortSocket(1) in ready.orders
    assert ready.running == {}


def test_connect_after_disconnect_awaits_the_end_of_the_old_socket(ready):
    ready.disconnect()
    ready.connect()
    assert (ready.state, ready.machine.phase, ready.running) == (S.CONNECTING, P.CLOSING, {})
    assert ready.orders[-1] == do.AbortSocket(1)
    ready.end()
    assert ready.attempt == 2
    assert ready.status.outages == 0, "what the caller ended is no outage"


def test_connect_after_disconnect_is_a_first_connection_again(ready):
    ready.disconnect()
    ready.end()
    ready.connect(1)
    assert ready.state is S.CONNECTING
    ready.refuse()
    assert ready.state is S.FAILED


def test_what_was_known_of_the_session_is_not_shown_after_it(ready):
    ready.event(SocketClosed(1, "EOF"))
    shown = ready.status
    assert (shown.accounts, shown.server_version, dict(shown.farms), shown.read_only) == ((), None, {}, False)
    assert shown.upstream == "unknown"


def test_a_read_only_gateway_is_not_remembered_after_its_session(rig):
    rig.connect()
    rig.open_session()
    rig.answer("open orders", read_only=True)
    assert rig.status.read_only
    rig.disconnect()
    assert not rig.status.read_only


@pytest.mark.parametrize("phase", [P.IDLE, P.FAILED, P.OPENING])
def test_reconnect_changes_nothing_where_there_is_nothing_to_drop(new_rig, bring, phase):
    rig = new_rig()
    bring(rig, phase)
    assert rig.event(ReconnectRequested()) == []


def test_time_that_our_own_loop_was_blocked_is_no_silence_of_the_gateways(rig):
    rig.connect()
    rig.accept()
    rig.block(12.0)
    assert (rig.state, rig.running) == (S.CONNECTING, {Timer.ATTEMPT: rig.mono + 5.0})
    rig.open_session()
    rig.answer()
    assert rig.state is S.SYNCING
    assert len(rig.opened) == 1


def test_it_is_given_back_once(rig):
    rig.connect()
    rig.accept()
    rig.block(6.0)
    assert rig.running == {Timer.ATTEMPT: rig.mono + 4.0}, "of its time, so much was our own loop's"
    rig.block(9.0)
    assert rig.machine.failure == Failure(K.SILENT, "the port accepted, then sent nothing for 5 s")
