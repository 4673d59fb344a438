"""The machine through every fact that a correct driver and session could post, in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ibkr.core.calendar import Calendar, Recurrence
from ibkr.core.codes import CODES
from ibkr.core.facts import (
    ClockJumped,
    CodeReceived,
    DisconnectWanted,
    GatewayTold,
    OrdersUnconfirmed,
    PeerSeen,
    ReconnectWanted,
    RetryWanted,
    SocketEnded,
    StartupAnswered,
    Timer,
    WatchedStream,
)
from ibkr.core.situation import Phase as P
from ibkr.core.table import TABLE, nothing

from .events import COMMANDS, WINDOWS, news, possible, tell
from .sayings import ALL

# Ways that chance goes too seldom to count on; each has its example in test_table.py.
RARE = {
    *((P.OPENING, how, to) for how in (SocketEnded, CodeReceived, Timer.ATTEMPT) for to in (P.WAITING, P.FAILED)),
    *((P.STARTUP, how, to) for how in (SocketEnded, CodeReceived, Timer.LIVENESS) for to in (P.WAITING, P.FAILED)),
    *((phase, how, P.WAITING) for phase in (P.RESTORING, P.UP) for how in (SocketEnded, CodeReceived, Timer.LIVENESS)),
    *((P.WAITING, wanted, P.CLOSING) for wanted in (ReconnectWanted, RetryWanted)),
    (P.LOOKING, PeerSeen, P.FAILED),
    *((P.LOOKING, Timer.ATTEMPT, to) for to in (P.WAITING, P.FAILED)),
    (P.LOOKING, DisconnectWanted, P.IDLE),
    *(
        (P.LOOKING, how, P.LOOKING)
        for how in (Timer.CALENDAR, Timer.ALERT, SocketEnded, OrdersUnconfirmed, ClockJumped, GatewayTold)
    ),
    *((phase, ReconnectWanted, P.CLOSING) for phase in (P.STARTUP, P.RESTORING)),
    (P.STARTUP, StartupAnswered, P.UP),
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
# Maintenance windows: name, start and end in seconds from ``WINDOWS``. They come back each day.
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


class Driven(RuleBasedStateMachine):
    """Facts at random. What must hold after each is the oracle's; what the rig asserts holds besides."""

    def __init__(self, new_rig, bring, oracle, seen) -> None:
        super().__init__()
        self.new_rig, self.bring, self.oracle, self.seen = new_rig, bring, oracle, seen

    @initialize(
        phase=st.sampled_from(
            [P.OPENING, P.LOOKING, P.RESTORING, P.UP, P.STARTUP, P.WAITING, P.FAILED, P.CLOSING, P.IDLE]
        ),
        attempts=st.sampled_from([None, None, 3, 1]),
        policy=st.sampled_from(sorted(POLICIES)),
        farms=st.sampled_from([(), ("usfarm",)]),
        readonly=st.sampled_from([False, False, True]),
        roll=st.sampled_from([0.0, 0.5, 0.999]),
        calendar=st.sampled_from(sorted(CALENDARS)),
    )
    def begin(self, phase, attempts, policy, farms, readonly, roll, calendar):
        windows, daily = windows_of(calendar), frozenset(range(7))
        recurrences = [Recurrence(name, daily, start.time(), end.time(), UTC) for name, start, end in windows]
        self.rig = self.new_rig(
            readonly=readonly, roll=roll, calendar=Calendar(recurrences), required_farms=farms, **POLICIES[policy]
        )
        self.rig.answers_looks = False
        self.watch = self.oracle(self.rig, windows)
        self.bring(self.rig, phase, attempts)

    def teardown(self):
        if hasattr(self, "rig"):
            self.seen["steps"] += self.rig.steps
            self.seen["moves"] |= self.rig.moves

    @rule(
        picks=st.binary(min_size=16, max_size=100),
        alive=st.booleans(),
        patience=st.sampled_from([(), (2.0,), (5.0, 0.5)]),
    )
    def happens(self, picks, alive, patience):
        """One thing after the other, each of those that are possible then; a byte picks it."""
        self.rig.answers_probes = alive
        self.rig.tickers = tuple(WatchedStream(number, each) for number, each in enumerate(patience, 1))
        for pick in picks:
            options = possible(self.rig)
            name, act = options[pick * len(options) // 256]
            note(f"  {self.rig.machine.phase}: {name}")
            act(self.rig)

    @rule(command=st.sampled_from(sorted(COMMANDS)))
    def the_caller_wants_to(self, command):
        COMMANDS[command](self.rig)

    @precondition(lambda self: len(self.rig.opened) > 1)
    @rule()
    def news_of_an_older_attempt(self):
        tell(self.rig, [*news(self.rig.attempt - 1), SocketEnded(self.rig.attempt - 1, "EOF")])


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_whatever_happens_the_invariants_hold(new_rig, bring, oracle):
    seen = {"steps": 0, "moves": set()}
    profile = settings()
    many = settings(profile, stateful_step_count=13)
    run_state_machine_as_test(partial(Driven, new_rig, bring, oracle, seen), settings=many)
    # What is without consequence has an example for each row in test_table.py.
    ways = {(*row, to) for row, where in TABLE.items() if where.react is not nothing for to in where.to}
    never = ways - seen["moves"] - RARE
    assert not never, f"never gone: {[str(way) for way in never]}"
    assert seen["steps"] >= 10_000


def test_a_gateway_of_ours_says_all_that_there_is_to_say():
    assert set(CODES) < ALL
