"""The machine under random events: every event that a correct driver and session can post, in any order."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ibkr.core.codes import REACTIONS
from ibkr.core.events import (
    ActiveStream,
    ActiveStreamsFound,
    ClockJumped,
    CodeReceived,
    DisconnectRequested,
    GatewayStatusChanged,
    GlobalCancelDelivered,
    Halted,
    JournalOpened,
    JournalTroubleChanged,
    LeaseChanged,
    PeerIdentified,
    ReconnectRequested,
    Resumed,
    RetryRequested,
    RowsNotDecoded,
    SocketClosed,
    StartupAnswered,
    StartupRefused,
    Timer,
    UnconfirmedOrdersChanged,
)
from ibkr.core.machine_state import Phase as P
from ibkr.core.maintenance_calendar import Calendar, Recurrence
from ibkr.core.transitions import TRANSITIONS, ignore_event

from .gateway_messages import ALL
from .possible_events import COMMANDS, WINDOWS, news, possible, tell

# RARE lists the transitions that random events do not reach often enough. test_transition_table.py, test_halt.py or
# test_lease.py has an example of each.
RARE = {
    *((phase, LeaseChanged, to) for phase in P for to in (phase, P.OPENING, P.CLOSING)),
    *((P.OPENING, how, to) for how in (SocketClosed, CodeReceived, Timer.ATTEMPT) for to in (P.WAITING, P.FAILED)),
    *((P.STARTUP, how, to) for how in (SocketClosed, CodeReceived, Timer.LIVENESS) for to in (P.WAITING, P.FAILED)),
    *((phase, how, P.WAITING) for phase in (P.RESTORING, P.UP) for how in (SocketClosed, CodeReceived, Timer.LIVENESS)),
    *((P.WAITING, wanted, P.CLOSING) for wanted in (ReconnectRequested, RetryRequested)),
    (P.IDENTIFYING, PeerIdentified, P.FAILED),
    *((P.IDENTIFYING, Timer.ATTEMPT, to) for to in (P.WAITING, P.FAILED)),
    (P.IDENTIFYING, DisconnectRequested, P.IDLE),
    *(
        (P.IDENTIFYING, how, P.IDENTIFYING)
        for how in (
            Timer.CALENDAR,
            Timer.ALERT,
            SocketClosed,
            UnconfirmedOrdersChanged,
            ClockJumped,
            GatewayStatusChanged,
        )
    ),
    *(
        (phase, how, phase)
        for phase in P
        for how in (Halted, Resumed, GlobalCancelDelivered, JournalOpened, JournalTroubleChanged)
    ),
    *((phase, ReconnectRequested, P.CLOSING) for phase in (P.STARTUP, P.RESTORING)),
    *((phase, Timer.RESYNC, to) for phase in (P.STARTUP, P.RESTORING, P.UP) for to in (phase, P.STARTUP)),
    *((P.STARTUP, StartupRefused, to) for to in (P.RESTORING, P.UP)),
    (P.STARTUP, RowsNotDecoded, P.RESTORING),
    (P.OPENING, SocketClosed, P.IDENTIFYING),
    *((P.RESTORING, timer, P.RESTORING) for timer in (Timer.WATCH, Timer.STREAMS)),
    (P.STARTUP, StartupAnswered, P.UP),
    (P.RESTORING, SocketClosed, P.OPENING),
    (P.RESTORING, ActiveStreamsFound, P.RESTORING),
    *(
        (phase, how, to)
        for phase in (P.RESTORING, P.UP)
        for how in (Timer.READ_ONLY, RetryRequested)
        for to in (phase, P.STARTUP)
    ),
    *((phase, Timer.LATE_LOOK, phase) for phase in (P.STARTUP, P.RESTORING)),
    (P.STARTUP, Timer.REQUEST, P.UP),
    (P.STARTUP, Timer.STREAMS, P.STARTUP),
    *((phase, Timer.END_WATCH, phase) for phase in (P.IDLE, P.CLOSING)),
    (P.RESTORING, Timer.LIVENESS, P.CLOSING),
    (P.RESTORING, Timer.REQUEST, P.RESTORING),
    *((P.RESTORING, timer, P.RESTORING) for timer in (Timer.CALENDAR, Timer.ALERT, Timer.UPSTREAM)),
}
POLICIES = {
    "default": {},
    "hurried": {
        "flap_limit": 1,
        "client_id_grace": 4.0,
        "later_after": 3.0,
        "backoff_first": 6.0,
        "outage_alert_after": 4.0,
        "missing_every": 3.0,
        "stream_pause": 3.0,
        "read_only_every": 2.0,
    },
    "patient": {
        "restore_grace": 12.0,
        "upstream_grace": 1.0,
        "probe_after": 3.0,
        "close_grace": 2.0,
        "outage_alert_after": 15.0,
        "missing_every": 1.5,
        "stream_pause": 0.1,
    },
}
# The maintenance windows of each calendar: name, start and end in seconds from ``WINDOWS``. The windows repeat daily.
CALENDARS = {
    "none": [],
    "one": [("reset", 0, 30)],
    "in a row": [("first", 0, 5), ("second", 5, 40)],
    "one in the other": [("long", -20, 50), ("short", 0, 9)],
}


def windows_of(calendar: str) -> list[tuple[str, datetime, datetime]]:
    return [
        (name, WINDOWS + timedelta(seconds=start), WINDOWS + timedelta(seconds=end))
        for name, start, end in CALENDARS[calendar]
    ]


FARMS = [(), ("usfarm",)]
ROLLS = [0.0, 0.5, 0.999]
ATTEMPTS = [None, None, 3, 1]
PATIENCE = [(), (2.0,), (5.0, 0.5)]
MOVES = {(*row, to) for row, where in TRANSITIONS.items() if where.react is not ignore_event for to in where.to}
"""Each way from a phase to a phase. Events without a consequence have examples in test_transition_table.py."""


class Driven:
    """A rig that random events happen to, and the oracle that checks each step."""

    def __init__(self, new_rig, bring, oracle, say):
        self.new_rig, self.bring, self.oracle, self.say = new_rig, bring, oracle, say

    def begin(self, phase, attempts, policy, farms, readonly, roll, calendar):
        windows, daily = windows_of(calendar), frozenset(range(7))
        recurrences = [Recurrence(name, daily, start.time(), end.time(), UTC) for name, start, end in windows]
        self.rig = self.new_rig(
            readonly=readonly, roll=roll, calendar=Calendar(recurrences), required_farms=farms, **POLICIES[policy]
        )
        self.rig.answers_looks = False
        self.watch = self.oracle(self.rig, windows)
        self.bring(self.rig, phase, attempts)

    def happens(self, picks, alive, patience):
        """Carry out events. Each byte of ``picks`` selects one of the events that are possible at that moment."""
        self.rig.answers_probes = alive
        self.rig.tickers = tuple(ActiveStream(number, each) for number, each in enumerate(patience, 1))
        for pick in picks:
            options = possible(self.rig)
            name, act = options[pick * len(options) // 256]
            self.say(f"  {self.rig.machine.phase}: {name}")
            act(self.rig)

    def has_older_attempt(self):
        return len(self.rig.opened) > 1

    def tell_news_of_older_attempt(self):
        tell(self.rig, [*news(self.rig.attempt - 1), SocketClosed(self.rig.attempt - 1, "EOF")])


class StateMachine(RuleBasedStateMachine):
    """The same with events that Hypothesis draws, and reduces to a short example when one breaks an invariant."""

    def __init__(self, driven):
        super().__init__()
        self.driven = driven

    @initialize(
        phase=st.sampled_from(
            [P.OPENING, P.IDENTIFYING, P.RESTORING, P.UP, P.STARTUP, P.WAITING, P.FAILED, P.CLOSING, P.IDLE]
        ),
        attempts=st.sampled_from(ATTEMPTS),
        policy=st.sampled_from(sorted(POLICIES)),
        farms=st.sampled_from(FARMS),
        readonly=st.sampled_from([False, False, True]),
        roll=st.sampled_from(ROLLS),
        calendar=st.sampled_from(sorted(CALENDARS)),
    )
    def begin(self, **start):
        self.driven.begin(**start)

    @rule(picks=st.binary(min_size=16, max_size=100), alive=st.booleans(), patience=st.sampled_from(PATIENCE))
    def happens(self, picks, alive, patience):
        self.driven.happens(picks, alive, patience)

    @rule(command=st.sampled_from(sorted(COMMANDS)))
    def the_caller_wants_to(self, command):
        COMMANDS[command](self.driven.rig)

    @precondition(lambda self: self.driven.has_older_attempt())
    @rule()
    def news_of_an_older_attempt(self):
        self.driven.tell_news_of_older_attempt()


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_whatever_happens_the_invariants_hold(new_rig, bring, oracle):
    profile = settings()
    many = settings(profile, stateful_step_count=13, max_examples=profile.max_examples)
    run_state_machine_as_test(lambda: StateMachine(Driven(new_rig, bring, oracle, note)), settings=many)


def play(driven, chance):
    """One random sequence, with its own random numbers: no version of Hypothesis changes what it reaches."""
    driven.begin(
        phase=chance.choice(list(P)),
        attempts=chance.choice(ATTEMPTS),
        policy=chance.choice(sorted(POLICIES)),
        farms=chance.choice(FARMS),
        readonly=chance.random() < 1 / 3,
        roll=chance.choice(ROLLS),
        calendar=chance.choice(sorted(CALENDARS)),
    )
    for _ in range(chance.randrange(4, 14)):
        match chance.randrange(4):
            case 0:
                COMMANDS[chance.choice(sorted(COMMANDS))](driven.rig)
            case 1 if driven.has_older_attempt():
                driven.tell_news_of_older_attempt()
            case _:
                driven.happens(
                    chance.randbytes(chance.randrange(16, 100)), chance.random() < 0.5, chance.choice(PATIENCE)
                )


@pytest.mark.timeout(300)
def test_random_events_reach_every_transition(new_rig, bring, oracle):
    """The sequence continues until each transition was seen. A change of other code can only make it longer."""
    missing = MOVES - RARE
    for seed in range(600):
        story = [f"seed {seed}"]
        driven = Driven(new_rig, bring, oracle, story.append)
        try:
            play(driven, random.Random(seed))
        except Exception:
            print(*story, sep="\n")
            raise
        missing -= driven.rig.moves
        if not missing:
            return
    pytest.fail(f"never seen: {[str(move) for move in missing]}")


def test_a_gateway_of_ours_says_all_that_there_is_to_say():
    assert set(REACTIONS) < ALL
