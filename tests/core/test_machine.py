"""The machine itself: illegal events, events of old attempts, publishing, internal errors, and the table."""

import pytest

from ibkr.core import effects as do
from ibkr.core.errors import Failure
from ibkr.core.errors import FailureKind as K
from ibkr.core.events import (
    AttemptFailed,
    CodeReceived,
    ConnectRequested,
    FarmStatusReceived,
    ProbeAnswered,
    RetryRequested,
    SessionOpened,
    SocketClosed,
    StartupAnswered,
    StartupRequested,
    SubscriptionsChanged,
    Timer,
    TimerFired,
    TransportClosed,
)
from ibkr.core.machine import IllegalEvent
from ibkr.core.machine_state import Phase as P
from ibkr.core.states import ConnectionState as S
from ibkr.core.step import END_WITHIN, SocketCloseLost
from ibkr.core.transitions import TRANSITIONS, Transition

LINK_FACTS = [
    AttemptFailed(1, Failure(K.SILENT, "old")),
    SessionOpened(1, 178, ("DU1234567",)),
    SocketClosed(1, "old"),
    CodeReceived(1, 1100, "old"),
    FarmStatusReceived(1, ((2103, "Market data farm connection is broken:usfarm"),)),
    StartupRequested(1, ("positions",)),
    StartupAnswered(1, ("executions",)),
    SubscriptionsChanged(1, 0, ("old",)),
    ProbeAnswered(1),
]


@pytest.mark.parametrize("phase", list(P))
def test_news_of_an_older_attempt_changes_nothing(rig, bring, phase):
    rig.connect()
    rig.disconnect()
    rig.end()
    if phase is P.IDLE:
        rig.connect()
        rig.disconnect()
    else:
        bring(rig, phase)
    assert rig.attempt == 2
    before = rig.status, dict(rig.timers), rig.known
    for event in LINK_FACTS:
        assert rig.event(event) == []
    assert (rig.status, rig.timers, rig.known) == before


@pytest.mark.parametrize("phase", list(P))
def test_what_stands_in_no_row_raises_and_changes_nothing(rig, bring, phase):
    bring(rig, phase)
    events = {type(event): event for event in LINK_FACTS} | {timer: TimerFired(timer) for timer in Timer}
    illegal = {trigger: event for trigger, event in events.items() if (phase, trigger) not in TRANSITIONS}
    assert illegal
    for event in illegal.values():
        before = rig.known, rig.status
        with pytest.raises(IllegalEvent, match=f"in phase {phase}"):
            rig.machine.step(event, rig.now)
        assert (rig.known, rig.status) == before


def test_a_reaction_that_leads_elsewhere_than_its_row_says_raises(rig, monkeypatch):
    row = TRANSITIONS[P.IDLE, ConnectRequested]
    monkeypatch.setitem(TRANSITIONS, (P.IDLE, ConnectRequested), Transition(row.react, frozenset({P.UP})))
    with pytest.raises(IllegalEvent, match="led from idle to opening, which the table does not allow"):
        rig.connect()


def test_time_alone_is_no_change(ready):
    before = ready.status
    ready.advance(3)
    assert ready.event(ConnectRequested(3)) == []
    assert ready.published == []
    assert ready.status == before


def test_since_is_the_moment_of_the_last_change_of_state(ready):
    came_up = ready.status.since
    ready.advance(2)
    ready.code(2103, "cashfarm")
    assert (ready.status.since, ready.published[-1].as_of) == (came_up, ready.now.wall)
    ready.advance(1)
    ready.code(1100)
    assert ready.status.since == ready.status.as_of == ready.now.wall


def test_changes_are_published_in_order_after_the_orders(ready):
    effects = ready.event(SocketClosed(1, "reset"))
    assert effects[-1] == do.PublishStatus(ready.status)
    assert [type(effect) for effect in effects].count(do.PublishStatus) == 1
    ready.come_up()
    assert ready.states == ["RECONNECTING", "SYNCING", "READY"]


@pytest.mark.parametrize("phase", list(P))
def test_breaking_off_leaves_nothing_wanted(new_rig, bring, phase):
    rig = new_rig()
    bring(rig, phase)
    lost_ready = phase in (P.UP, P.CLOSING)
    rig.advance(0.01)
    rig.machine.break_off("internal error: KeyError('x')", rig.now)
    assert (rig.state, rig.status.reason) == (S.FAILED, "internal error: KeyError('x')")
    assert (rig.status.next_retry_at, rig.status.is_connected, rig.status.may_trade) == (None, False, False)
    assert rig.status.since == rig.now.wall or phase is P.FAILED
    assert rig.status.outages == int(lost_ready)
    if rig.socket is not None:
        assert not rig.machine.is_quiet, "the end of the socket is still awaited"
        rig.machine.step(SocketClosed(rig.attempt, "aborted"), rig.now)
    assert rig.machine.is_quiet


@pytest.mark.parametrize("phase", list(P))
def test_wanted_is_all_but_idle_and_failed(rig, bring, phase):
    bring(rig, phase)
    assert rig.machine.is_wanted == (phase not in (P.IDLE, P.FAILED))


def test_a_socket_that_is_gone_without_a_word_is_not_awaited(ready):
    ready.machine.break_off("its event loop was closed", ready.now, socket_gone=True)
    assert ready.machine.is_quiet


def test_a_socket_whose_transport_has_ended_is_not_awaited(ready):
    ready.event(TransportClosed(1, "EOF"))
    ready.machine.break_off("internal error", ready.now)
    assert ready.machine.is_quiet
    ready.machine.step(SocketClosed(1, "EOF"), ready.now)
    assert ready.machine.is_quiet, "it may still be told"


def test_after_breaking_off_a_connect_starts_over(ready):
    ready.machine.break_off("internal error", ready.now, socket_gone=True)
    ready.socket = None
    ready.timers.clear()
    ready.connect()
    ready.come_up()
    assert ready.state is S.READY


def test_a_session_that_has_lost_its_transport_is_shown_as_lost_until_its_socket_ends(ready):
    assert ready.machine.is_in_session
    ready.event(TransportClosed(1, "reset by peer"))
    assert (ready.state, ready.status.may_trade, ready.status.is_connected) == (S.RECONNECTING, False, False)
    assert ready.status.reason == "session lost: reset by peer"
    assert not ready.machine.is_in_session
    ready.link_back()
    assert ready.state is S.RECONNECTING, "its last words change nothing"
    ready.end("reset by peer")
    assert (ready.state, ready.machine.phase) == (S.RECONNECTING, P.OPENING)


@pytest.mark.parametrize("command", ["reconnect", "disconnect", "an attempt after a silent one"])
def test_an_end_that_is_never_told_is_a_mistake_of_ours(new_rig, bring, command):
    rig = new_rig()
    rig.loses_ends = True
    if command == "an attempt after a silent one":
        rig.connect(None)
        rig.accept()
        rig.advance(6)
        rig.event(RetryRequested())
    else:
        bring(rig, P.UP)
        getattr(rig, command)()
    phase = rig.machine.phase
    assert phase in (P.CLOSING, P.IDLE)
    rig.advance(END_WITHIN - 1)
    assert rig.machine.phase is phase
    with pytest.raises(SocketCloseLost, match=r"the close of attempt 1's socket was not reported within 30 s"):
        rig.advance(1)
    rig.machine.break_off("internal error: SocketCloseLost(...)", rig.now)
    assert rig.state is S.FAILED
    assert rig.machine.is_quiet, "nobody waits for it any more"


@pytest.mark.parametrize(
    ("command", "phase", "then"), [("reconnect", P.CLOSING, P.OPENING), ("disconnect", P.IDLE, P.IDLE)]
)
def test_an_end_that_our_own_blocked_loop_has_not_told_yet_has_its_time(ready, command, phase, then):
    ready.loses_ends = True
    getattr(ready, command)()
    ready.block(END_WITHIN + 1)
    assert ready.machine.phase is phase
    ready.end()
    assert (ready.machine.phase, Timer.END_WATCH in ready.timers) == (then, False)
