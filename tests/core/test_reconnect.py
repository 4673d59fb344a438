"""After a lost session: when the next attempt starts, for each cause; flapping; reconnect(); outages."""

from itertools import pairwise

import pytest

from ibkr.core import effects as do
from ibkr.core.backoff import RetryDelay, retry_delay
from ibkr.core.errors import Failure
from ibkr.core.errors import FailureKind as K
from ibkr.core.events import ReconnectRequested, Timer
from ibkr.core.machine_state import Phase as P
from ibkr.core.policy import Policy
from ibkr.core.states import ConnectionState as S


def starts(rig, fail, count: int) -> list[float]:
    """Seconds from the start of each attempt to the start of the next. ``fail`` ends them."""
    begun = []
    for _ in range(count + 1):
        begun.append(rig.opened[-1][1])
        fail()
        rig.advance(max(0.0, rig.timers[Timer.RETRY] - rig.mono))
    return [round(after - before, 6) for before, after in pairwise(begun)]


def test_session_lost_the_next_attempt_starts_at_once(ready):
    ready.end("connection reset")
    assert ready.orders == [do.StartAttempt(2, 7497)]
    assert (ready.state, ready.status.attempt, ready.status.outages) == (S.RECONNECTING, 1, 1)
    assert ready.status.reason == "session lost: connection reset"
    assert set(ready.running) == {Timer.ATTEMPT}
    ready.come_up()
    assert ready.states == ["RECONNECTING", "SYNCING", "READY"]


def test_a_wait_longer_than_dates_reach_is_a_wait(new_rig):
    rig = new_rig(refused_every=1e300)
    rig.connect(attempts=None)
    rig.refuse()
    assert (rig.state, set(rig.running)) == (S.CONNECTING, {Timer.RETRY})


def test_port_refuses_every_quarter_second(ready):
    ready.end()
    assert starts(ready, ready.refuse, 5) == [0.25] * 5
    assert ready.status.reason.startswith("session lost: the gateway closed the connection")


def test_port_refuses_after_ten_minutes_every_second(ready):
    ready.end()
    assert starts(ready, ready.refuse, 2405) == [0.25] * 2400 + [1.0] * 5


def test_ten_minutes_count_from_the_loss_of_what_was_whole(ready):
    ready.end()
    for _ in range(150):
        ready.open_session()
        ready.advance(4)
        ready.end("lost again, in start-up")
    assert ready.status.attempt == 151
    ready.refuse()
    assert ready.delays[-1] == (Timer.RETRY, 1.0)


def test_attempts_count_until_the_session_is_complete_again(ready):
    ready.end()
    ready.open_session()
    ready.end("lost again, in start-up")
    assert ready.status.attempt == 2
    ready.come_up()
    assert ready.status.attempt == 0
    ready.code(1101)
    assert (ready.state, ready.status.attempt) == (S.SYNCING, 0)
    ready.disconnect()
    assert ready.status.attempt == 0


@pytest.mark.parametrize("roll", [0.0, 0.5, 0.999999])
def test_refused_has_jitter_of_a_tenth_at_most(new_rig, roll):
    rig = new_rig(roll=roll)
    rig.connect(None)
    rig.refuse()
    assert 0.225 <= rig.delays[-1][1] <= 0.25
    assert rig.delays[-1][1] == pytest.approx(0.25 * (1 - 0.1 * roll))


def test_closed_before_a_byte_every_half_second_then_every_two(ready):
    ready.end()

    def close() -> None:
        ready.accept()
        ready.end("closed", before_any_byte=True)

    assert starts(ready, close, 1205) == [0.5] * 1200 + [2.0] * 5


def test_silent_waits_from_its_end_doubling_to_the_cap(ready):
    ready.end()

    def stay_silent() -> None:
        ready.accept()
        ready.advance(5)
        ready.end("aborted")

    assert starts(ready, stay_silent, 6) == [6.0, 7.0, 9.0, 13.0, 15.0, 15.0]


def test_closed_after_bytes_doubles_from_its_start(ready):
    ready.end()
    assert starts(ready, ready.end, 6) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_another_cause_begins_its_own_backoff(ready):
    ready.end()
    assert starts(ready, ready.end, 3) == [1.0, 2.0, 4.0]
    ready.refuse()
    ready.advance(1)
    assert starts(ready, ready.end, 1) == [1.0]


def test_our_own_client_id_is_tried_again_without_end_and_a_person_is_told_after_its_grace(ready):
    ready.end()
    begun = ready.mono

    def in_use() -> None:
        ready.code(326)
        ready.end()

    assert starts(ready, in_use, 73) == [0.25] * 20 + [1.0] * 53
    assert ready.mono - begun == 59
    assert ready.status.alert == ""
    in_use()
    ready.advance(1)
    in_use()
    assert (ready.state, ready.machine.failure.kind) == (S.RECONNECTING, K.CLIENT_ID_IN_USE)
    assert ready.status.alert.startswith("the gateway has refused client id 7 as in use (326) for 60 s")
    ready.advance(1)
    assert starts(ready, in_use, 10) == [1.0] * 4 + [5.0] * 6
    assert starts(ready, in_use, 300)[-1] == 5.0
    ready.refuse()
    assert "326" not in ready.status.alert, "nothing listens: that is another trouble"
    ready.advance(1)
    ready.open_session()
    ready.answer()
    ready.advance(1)
    assert (ready.state, ready.status.alert) == (S.READY, "")


def test_the_grace_begins_again_when_something_else_came_between(ready):
    ready.end()
    for _ in range(8):
        ready.code(326)
        ready.end()
        ready.advance(10)
        ready.refuse()
        ready.advance(10)
    assert ready.state is S.RECONNECTING


@pytest.mark.parametrize("kind", [kind for kind in K if kind is not K.CLIENT_ID_IN_USE])
def test_after_a_first_success_nothing_else_is_given_up(ready, kind):
    ready.end()
    for _ in range(100):
        ready.refuse(kind)
        ready.advance(10)
    assert ready.state is S.RECONNECTING


def test_a_late_roll_shortens_every_kind_of_wait():
    for kind in K:
        whole = retry_delay(Failure(kind, ""), 3, 0.0, Policy(), 0.0)
        assert retry_delay(Failure(kind, ""), 3, 0.0, Policy(), 0.5).seconds == pytest.approx(whole.seconds * 0.95)


def test_backoff_never_grows_beyond_any_number_of_failures():
    assert retry_delay(Failure(K.SILENT, ""), 10_000, 0.0, Policy(), 0.0) == RetryDelay(10.0, from_end=True)


def test_more_than_twenty_lost_sessions_in_a_minute_slow_the_next_attempts_and_are_reported(ready):
    for _ in range(20):
        ready.end("reset")
        assert ready.machine.phase is P.OPENING
        ready.come_up()
    ready.end("reset")
    assert (ready.machine.phase, ready.delays[-1]) == (P.WAITING, (Timer.RETRY, 1.0))
    assert ready.status.next_retry_at is not None
    assert "21 sessions lost within 60 s, so attempts wait 1 s" in ready.status.reason
    ready.advance(1)
    ready.come_up()
    ready.advance(3)
    ready.hear()
    ready.advance(57)
    ready.hear()
    ready.end("reset")
    assert ready.machine.phase is P.OPENING, "the minute is over"


def test_disconnect_forgets_the_flapping(ready):
    for _ in range(21):
        ready.end("reset")
        ready.advance(1)
        ready.come_up()
    ready.disconnect()
    ready.end()
    ready.connect()
    ready.come_up()
    ready.end()
    assert ready.machine.phase is P.OPENING


@pytest.mark.parametrize("phase", [P.STARTUP, P.RESTORING, P.UP])
def test_reconnect_drops_the_session_in_good_order_and_comes_back(new_rig, bring, phase):
    rig = new_rig()
    bring(rig, phase)
    rig.forget()
    rig.reconnect()
    assert rig.orders == [do.CloseSocket(1)]
    assert rig.state is (S.CONNECTING if phase is P.STARTUP else S.RECONNECTING)
    assert rig.status.reason == "session lost: reconnect() was called"
    assert set(rig.running) == {Timer.SOCKET_END}
    rig.end()
    assert rig.orders[-1] == do.StartAttempt(2, 7497)
    assert set(rig.running) == {Timer.ATTEMPT}


def test_reconnect_aborts_a_socket_that_will_not_close(ready):
    ready.reconnect()
    ready.reconnect()
    ready.advance(0.05)
    assert ready.orders == [do.CloseSocket(1), do.AbortSocket(1)]
    assert ready.machine.phase is P.CLOSING


def test_reconnect_in_start_up_does_not_refill_the_budget_of_connect(rig):
    rig.connect(2)
    rig.open_session()
    rig.reconnect()
    rig.end()
    assert rig.status.attempt == 2
    rig.refuse()
    assert rig.state is S.FAILED


def test_reconnect_while_waiting_makes_the_next_attempt_now(ready):
    ready.end()
    ready.refuse()
    assert ready.machine.phase is P.WAITING
    ready.forget()
    effects = ready.event(ReconnectRequested())
    assert effects[:2] == [do.StopTimer(Timer.RETRY), do.StartAttempt(3, 7497)]
    assert ready.status.next_retry_at is None


def test_reconnect_while_waiting_first_sees_the_end_of_the_old_socket(rig):
    rig.connect(None)
    rig.accept()
    rig.advance(5)
    rig.reconnect()
    assert (rig.machine.phase, rig.orders[-1], rig.running) == (P.CLOSING, do.AbortSocket(1), {})
    rig.end()
    assert rig.attempt == 2


def test_next_retry_at_is_the_wall_time_of_the_next_attempt(ready):
    ready.end()
    ready.refuse()
    assert (ready.status.next_retry_at - ready.now.wall).total_seconds() == 0.25
    ready.advance(0.25)
    assert ready.status.next_retry_at is None


def test_an_outage_lasts_from_the_loss_of_ready_until_ready_again(ready):
    ready.code(1100)
    ready.end()
    ready.refuse()
    ready.advance(1)
    ready.come_up()
    assert ready.status.outages == 1
    ready.code(1100)
    ready.link_back()
    assert ready.status.outages == 2
    ready.reconnect()
    ready.disconnect()
    assert ready.status.outages == 3
