"""After silence: probe, suspect, dead. An answer ends a silence. Time in which our loop was blocked is not silence."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ibkr.core import effects as do
from ibkr.core.events import ClockJumped, ProbeRequested, Timer, TimerFired
from ibkr.core.machine_state import Identity
from ibkr.core.machine_state import Phase as P
from ibkr.core.maintenance_calendar import Calendar
from ibkr.core.policy import Policy
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import SessionState

from .rig import Rig


def probes(rig) -> int:
    return sum(isinstance(order, do.SendProbe) for order in rig.orders)


def test_five_seconds_of_silence_are_probed_once(ready):
    ready.advance(4.99)
    assert probes(ready) == 0
    ready.advance(0.02)
    assert ready.orders == [do.SendProbe(1)]
    ready.advance(0.9)
    assert (probes(ready), ready.state) == (1, S.READY)


def test_messages_put_the_probe_off_but_not_for_longer_than_half_a_minute(ready):
    ready.answers_probes = True
    for _ in range(100):
        ready.advance(3)
        ready.last_message = ready.mono
    assert (probes(ready), ready.published) == (10, [])


def flow(rig, seconds):
    """Messages arrive, but no answer arrives."""
    for _ in range(round(seconds * 10)):
        rig.last_message = rig.mono
        rig.advance(0.1)


def test_messages_without_an_answer_are_suspect_after_five_seconds_and_dead_after_thirty(ready):
    flow(ready, 29.5)
    assert (probes(ready), ready.state) == (1, S.READY)
    flow(ready, 4.5)
    assert ready.state is S.READY
    flow(ready, 0.6)
    assert (ready.state, ready.status.may_trade) == (S.DEGRADED, False)
    flow(ready, 24)
    assert probes(ready) > 1
    assert ready.machine.phase is P.UP
    flow(ready, 1)
    assert (ready.state, ready.machine.phase) == (S.RECONNECTING, P.CLOSING)


def test_an_answer_while_messages_come_is_life(ready):
    flow(ready, 36)
    assert ready.state is S.DEGRADED
    ready.hear()
    assert ready.state is S.READY
    flow(ready, 28)
    assert ready.state is S.READY


def test_a_garbage_collection_of_five_seconds_while_messages_come_is_nothing(ready):
    """The gateway, or our program, reads nothing for this long."""
    flow(ready, 29.1)
    assert probes(ready) == 1
    flow(ready, 5)
    ready.hear()
    assert ready.published == []
    flow(ready, 3)
    ready.block(5)
    ready.last_message = ready.mono
    assert ready.published == []


def test_a_message_behind_the_probe_and_then_silence_is_dead_ten_seconds_later(ready):
    ready.advance(5.01)
    ready.last_message = ready.mono
    ready.advance(1.1)
    assert ready.state is S.READY, "it has spoken since"
    ready.advance(4.2)
    assert ready.state is S.DEGRADED
    ready.advance(4.8)
    assert ready.machine.phase is P.CLOSING


def test_what_is_left_of_a_wait_is_as_exact_as_the_whole(ready):
    """If the rest of the wait were not exact, each of many connectors would wake its loop at a different moment."""
    ready.advance(4.9)
    left = do.StartTimer(Timer.LIVENESS, pytest.approx(0.1), 5.0)
    assert ready.event(TimerFired(Timer.LIVENESS, 0.0, ready.last_message, has_socket=True)) == [left]


def test_unanswered_for_a_second_it_is_suspect(ready):
    ready.advance(5.9)
    assert ready.state is S.READY
    ready.advance(0.2)
    assert (ready.state, ready.status.session, ready.status.may_trade) == (S.DEGRADED, SessionState.SUSPECT, False)
    assert ready.status.is_connected
    assert ready.status.reason == ready.status.may_trade_reason == "a probe is unanswered: the socket may be half-open"
    assert ready.socket == 1


def test_a_caller_who_wants_to_know_has_it_probed_at_once_and_once(ready):
    ready.event(ProbeRequested())
    ready.event(ProbeRequested())
    assert ready.orders == [do.SendProbe(1)]
    ready.advance(1.1)
    assert (ready.state, ready.status.may_trade) == (S.DEGRADED, False)


def test_a_probe_that_waits_to_be_sent_serves_all_who_want_one(ready):
    for _ in range(4):
        ready.event(ProbeRequested())
        ready.hear()
    ready.event(ProbeRequested())
    assert ready.timers[Timer.LIVENESS] == pytest.approx(ready.mono + 2.0), "one apart, one to be suspect after"


def test_an_answer_is_life(ready):
    ready.advance(7)
    ready.hear()
    assert (ready.state, ready.status.session) == (S.READY, SessionState.UP)
    ready.advance(4.9)
    assert probes(ready) == 1
    ready.advance(0.2)
    assert probes(ready) == 2


def test_unanswered_for_five_seconds_it_is_dead_aborted_and_the_next_attempt_follows(ready):
    ready.advance(9.9)
    assert ready.machine.phase is P.UP
    ready.advance(0.2)
    assert (ready.state, ready.machine.phase) == (S.RECONNECTING, P.CLOSING)
    assert ready.orders == [do.SendProbe(1), do.DiscardUnsent(1, True), do.AbortSocket(1)]
    assert ready.status.reason == "session lost: the gateway answered no probe: the socket was half-open"
    assert ready.running == {}
    ready.end()
    assert ready.orders[-1] == do.StartAttempt(2, 7497, from_lost_address=True)


def test_dead_in_the_first_start_up_is_a_silent_attempt(rig):
    rig.connect()
    rig.open_session()
    rig.advance(10.1)
    assert (rig.machine.phase, rig.machine.failure.kind) == (P.WAITING, "silent")
    assert do.AbortSocket(1) in rig.orders


def test_dead_in_a_later_start_up_is_a_lost_session(ready):
    ready.end()
    ready.open_session()
    ready.advance(10.1)
    assert (ready.state, ready.machine.phase) == (S.RECONNECTING, P.CLOSING)


def test_with_short_times_it_is_dead_within_two_seconds(new_rig):
    rig = new_rig(probe_after=1.0, probe_timeout=1.0)
    rig.connect()
    rig.come_up()
    rig.advance(2.01)
    assert rig.machine.phase is P.CLOSING


def test_probes_are_a_second_apart_however_short_the_silence(new_rig):
    """If two requests are closer, the gateway may not answer the second request (ib_insync issue 604)."""
    rig = new_rig(probe_after=0.1)
    rig.answers_probes = True
    rig.connect()
    rig.come_up()
    rig.forget()
    rig.advance(10.05)
    assert probes(rig) == 10
    rig.advance(0.5)
    rig.answers_probes = False
    rig.event(ClockJumped(60.0))
    rig.advance(1.4)
    assert (probes(rig), rig.state) == (12, S.READY), "it is sent half a second later"
    rig.advance(0.2)
    assert rig.state is S.DEGRADED


def test_a_timer_that_fires_a_hair_too_early_is_set_again(ready):
    ready.advance(5)
    ready.timers[Timer.LIVENESS] -= 0.001
    ready.advance(0.9995)
    assert ready.state is S.READY
    ready.advance(0.001)
    assert ready.state is S.DEGRADED


@pytest.mark.parametrize("silence", [4.0, 5.5, 7.0], ids=["before the probe", "probed", "suspect"])
def test_a_loop_blocked_for_half_a_minute_loses_no_session(ready, silence):
    ready.advance(silence)
    state = ready.state
    ready.block(30)
    assert (ready.state, ready.socket) == (state, 1)
    ready.hear()
    assert ready.state is S.READY


def test_a_loop_blocked_again_and_again_loses_no_session(ready):
    for _ in range(10):
        ready.block(30)
        assert probes(ready) == 1
        ready.block(30)
        assert (ready.published, ready.socket) == ([], 1)
        ready.hear()
        ready.forget()


def test_time_that_the_loop_was_blocked_never_counts_however_often_it_was(ready):
    ready.advance(5)
    for _ in range(3):
        ready.block(ready.timers[Timer.LIVENESS] - ready.mono + 30)
    assert (ready.status.session, ready.socket) == (SessionState.SUSPECT, 1)


def test_after_the_blockage_silence_counts_again(ready):
    ready.advance(5.5)
    ready.block(30)
    ready.advance(1)
    assert ready.state is S.DEGRADED
    ready.advance(4.5)
    assert ready.state is S.RECONNECTING


def test_a_loop_that_is_always_late_still_notices(ready):
    while ready.machine.phase is P.UP and ready.mono < 1060:
        ready.block(ready.timers[Timer.LIVENESS] - ready.mono + 0.3)
    assert ready.state is S.RECONNECTING
    assert ready.mono < 1015


def test_lateness_within_the_tolerance_is_silence(ready):
    ready.advance(5)
    ready.block(1.2)
    assert ready.state is S.DEGRADED


def test_ten_minutes_of_a_quiet_market_lose_nothing(ready):
    for _ in range(120):
        ready.advance(5.1)
        if probes(ready):
            ready.hear()
        ready.orders.clear()
    assert (ready.published, ready.attempt) == ([], 1)


SPELLS = ("messages and answers", "messages alone", "nothing", "a pause of both", "our own loop is blocked")


@given(st.lists(st.tuples(st.sampled_from(SPELLS), st.floats(0.1, 40.0)), min_size=1, max_size=8))
@example([("messages and answers", 29.95), ("a pause of both", 5.0), ("messages and answers", 10.0)])
@example([("messages and answers", 14.5), ("messages alone", 39.625), ("our own loop is blocked", 5.0)])
@example([("messages and answers", 34.9), ("messages alone", 5.0), ("messages and answers", 1.0)])
def test_ready_is_true_whatever_comes_and_whatever_stays_away(spells):
    """READY without an answer lasts no longer than promised, and a pause of five seconds causes no alarm."""
    rig = Rig(Policy(), Identity("127.0.0.1", 7497, 7), lambda: 0.0, Calendar())
    rig.connect()
    rig.come_up()
    answered = spoken = rig.mono
    for spell, seconds in spells:
        seconds = min(seconds, 5.0) if "pause" in spell or "blocked" in spell else seconds
        if "blocked" in spell:
            rig.block(seconds)
            if rig.machine.phase is not P.UP:  # the session was dead already when the loop was blocked
                assert rig.mono - answered >= 10.0 - 0.2, "dead too early"
                return
            rig.last_message = answered = spoken = rig.mono  # messages from this time are read now
            rig.hear()
            continue
        for _ in range(round(seconds * 10)):
            probed = rig.machine._state.session.probe_sent_at is not None
            if "messages" in spell:
                rig.last_message = spoken = rig.mono
                if "answers" in spell and probed:
                    rig.hear()
                    answered = rig.mono
            rig.answers_probes = spell == "messages and answers"
            answered = rig.mono if rig.answers_probes else answered
            rig.advance(0.1)
            if rig.machine.phase is not P.UP:
                assert rig.mono - answered >= 10.0 - 0.2, "dead too early"
                return
            if rig.state is S.READY:
                assert rig.mono - answered <= 30 + 5.25 + 0.3, "no answer for so long"
                assert rig.mono - max(spoken, answered) <= 6.0 + 0.3, "silence for so long"
            if rig.mono - max(answered, 0) <= 5.0:
                assert rig.state is S.READY, "a pause"
