"""The machine through every fact that a correct driver and session could post, in any order."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from ibkr.core.errors import Failure
from ibkr.core.errors import FailureKind as K
from ibkr.core.facts import (
    AttemptFailed,
    CodeReceived,
    Heard,
    PortAccepted,
    SessionOpened,
    SocketEnded,
    StartupAnswered,
    StartupAsked,
    SubscriptionsMoved,
    Timer,
)
from ibkr.core.situation import Phase as P
from ibkr.core.table import TABLE

SESSION = (P.STARTUP, P.RESTORING, P.UP)
# Ways that chance goes too seldom to count on; each has its example in test_table.py.
RARE = {
    (P.STARTUP, SocketEnded, P.FAILED),
    (P.STARTUP, Timer.LIVENESS, P.WAITING),
    (P.STARTUP, Timer.LIVENESS, P.FAILED),
    (P.STARTUP, Timer.REQUEST, P.UP),
    (P.STARTUP, StartupAnswered, P.UP),
    (P.RESTORING, SocketEnded, P.WAITING),
    (P.RESTORING, Timer.LIVENESS, P.CLOSING),
    (P.UP, SocketEnded, P.WAITING),
}
POLICIES = {
    "default": {},
    "hurried": {"flap_limit": 1, "client_id_grace": 4.0, "later_after": 3.0, "backoff_first": 6.0},
    "patient": {"restore_grace": 12.0, "upstream_grace": 1.0, "probe_after": 3.0, "close_grace": 2.0},
}

COMMANDS = {
    "connect": lambda rig: rig.connect(),
    "connect once": lambda rig: rig.connect(1),
    "connect and wait": lambda rig: rig.connect(None),
    "reconnect": lambda rig: rig.reconnect(),
    "retry now": lambda rig: rig.reconnect(),
    "disconnect": lambda rig: rig.disconnect(),
    "disconnect at once": lambda rig: rig.disconnect(abort=True),
    "cancel a subscription": lambda rig: rig.opened and rig.moved(0),
}
ATTEMPT = {
    "client id in use": lambda rig: rig.code(326),
    "upstream lost": lambda rig: rig.code(1100),
    "a farm": lambda rig: rig.code(2104, "usfarm"),
    "closed": lambda rig: rig.end("EOF"),
    "closed before any byte": lambda rig: rig.end("EOF", before_any_byte=True),
    **{f"fails: {kind}": lambda rig, kind=kind: fail(rig, kind) for kind in K},
    **{f"fails and ends: {kind}": lambda rig, kind=kind: rig.refuse(kind, f"it is {kind}") for kind in K},
    "a session": lambda rig: open_session(rig, subscriptions=0),
    "a session, answered": lambda rig: open_session(rig, answered=True, subscriptions=0),
    "a session, told and answered": lambda rig: open_session(rig, told=True, answered=True, subscriptions=0),
    "a session, something to restore": lambda rig: open_session(rig, answered=True, subscriptions=1),
    "a session, positions missing": lambda rig: (open_session(rig, subscriptions=0), miss(rig, "positions")),
    "a session, executions missing": lambda rig: (open_session(rig, subscriptions=1), miss(rig, "executions")),
    "a session, something more": lambda rig: open_session(rig, answered=True, subscriptions=3),
    "a session, told, something to restore": lambda rig: open_session(rig, told=True, answered=True, subscriptions=2),
    "a session, little answered": lambda rig: open_session(rig, told=True, subscriptions=1),
}
FARMS = [(code, farm) for code in (2103, 2104, 2105, 2107, 2119) for farm in ("usfarm", "ushmds")]
EVENTS = {
    **{f"{code}": lambda rig, code=code: rig.code(code) for code in (1100, 1101, 1102, 2110, 321, 326, 10197)},
    **{f"{code} {farm}": lambda rig, code=code, farm=farm: rig.code(code, farm) for code, farm in FARMS},
    "1102 with its list": lambda rig: rig.code(1102, text="data farms are connected: usfarm; ushmds."),
    "2108 cashfarm": lambda rig: rig.code(2108, "cashfarm"),
    "2106 ushmds": lambda rig: rig.code(2106, "ushmds"),
    "2157 secdef": lambda rig: rig.code(2157, "secdef"),
    "2158 secdef": lambda rig: rig.code(2158, "secdef"),
    "open orders": lambda rig: rig.answer("open orders"),
    "executions": lambda rig: rig.answer("executions"),
    "account updates": lambda rig: rig.answer("account updates"),
    "all but positions": lambda rig: answer_all_but(rig, "positions"),
    "all but executions": lambda rig: answer_all_but(rig, "executions"),
    "all but open orders": lambda rig: answer_all_but(rig, "open orders"),
    "no executions while upstream is down": lambda rig: rig.machine.phase is P.STARTUP and miss(rig, "executions"),
    "all": lambda rig: rig.answer(),
    "all again": lambda rig: rig.answer(),
    "read-only": lambda rig: rig.answer("open orders", read_only=True),
    "one awaited": lambda rig: rig.moved(1),
    "all live": lambda rig: rig.moved(0),
    "refused": lambda rig: rig.moved(0, "AAPL (354)"),
    "a byte": lambda rig: rig.hear(),
    "a moment": lambda rig: rig.advance(0.1),
    "a grace": lambda rig: rig.advance(0.25),
    **{f"the socket ends: {why}": lambda rig, why=why: rig.end(why) for why in ("EOF", "reset", "an absurd frame")},
}
LEAVING = {
    "the socket ends": lambda rig: rig.end(),
    "late news": lambda rig: tell(rig, news(rig.attempt)),
    "late news, then the end": lambda rig: tell(rig, [*news(rig.attempt), SocketEnded(rig.attempt, "EOF")]),
}
TIMES = {
    "at once": lambda rig: rig.advance(0.0),
    "to the next timer": lambda rig: rig.advance(max(0.0, min(rig.timers.values(), default=0.0) - rig.mono)),
    **{f"{seconds} s": lambda rig, seconds=seconds: rig.advance(seconds) for seconds in (0.05, 0.3, 1, 5, 20)},
    **{f"blocked for {seconds} s": lambda rig, seconds=seconds: rig.block(seconds) for seconds in (0.2, 1.3, 30)},
}


def fail(rig, kind: K) -> None:
    """The attempt fails; its socket is still ending."""
    rig.fact(AttemptFailed(rig.attempt, Failure(kind, f"it is {kind}")))


def open_session(rig, *, told: bool = False, answered: bool = False, subscriptions: int) -> None:
    rig.subscriptions = subscriptions
    if told:
        rig.accept()
    rig.open_session()
    if told:
        rig.code(2104, "usfarm")
    if answered:
        rig.answer()


def miss(rig, missing: str) -> None:
    """Start-up ends without this answer, while upstream is down."""
    rig.code(1100)
    answer_all_but(rig, missing)
    while rig.machine.phase is P.STARTUP:
        rig.advance(1.0)
        rig.hear()


def answer_all_but(rig, missing: str) -> None:
    rig.answer(*[name for name in rig.names if name != missing])


def tell(rig, facts: list) -> None:
    for fact in facts:
        rig.fact(fact)


def news(attempt: int) -> list:
    """All that may still be told of an attempt that counts no more."""
    return [
        PortAccepted(attempt),
        CodeReceived(attempt, 1100, ""),
        SessionOpened(attempt, 178, ("DU1234567",)),
        AttemptFailed(attempt, Failure(K.SILENT, "late")),
        StartupAsked(attempt, ("positions",)),
        StartupAnswered(attempt, "positions", True),
        SubscriptionsMoved(attempt, 3, ("AAPL",)),
        Heard(attempt),
    ]


def possible(rig) -> list:
    """What may happen now, in words and as a function; what leads on stands in the list more often."""
    phase = rig.machine.phase
    if phase in SESSION:
        own = [*EVENTS.items(), *TIMES.items(), *TIMES.items()]
    elif phase is P.OPENING:
        own = [*ATTEMPT.items()]
    elif rig.socket is not None:
        own = [*LEAVING.items()] * 4
    else:
        own = [(name, COMMANDS[name]) for name in ("connect", "connect once", "connect and wait")] * 2
    return [*own, *TIMES.items(), *COMMANDS.items()]


class Driven(RuleBasedStateMachine):
    """Facts at random. What must hold after each is the oracle's; what the rig asserts holds besides."""

    def __init__(self, new_rig, bring, oracle, seen) -> None:
        super().__init__()
        self.new_rig, self.bring, self.oracle, self.seen = new_rig, bring, oracle, seen

    @initialize(
        phase=st.sampled_from([P.OPENING, P.RESTORING, P.UP, P.STARTUP, P.WAITING, P.FAILED, P.CLOSING, P.IDLE]),
        attempts=st.sampled_from([None, None, 3, 1]),
        policy=st.sampled_from(sorted(POLICIES)),
        farms=st.sampled_from([(), ("usfarm",)]),
        readonly=st.sampled_from([False, False, True]),
        roll=st.sampled_from([0.0, 0.5, 0.999]),
    )
    def begin(self, phase, attempts, policy, farms, readonly, roll):
        self.rig = self.new_rig(readonly=readonly, roll=roll, required_farms=farms, **POLICIES[policy])
        self.watch = self.oracle(self.rig)
        self.bring(self.rig, phase, attempts)

    def teardown(self):
        if hasattr(self, "rig"):
            self.seen["steps"] += self.rig.steps
            self.seen["moves"] |= self.rig.moves

    @rule(picks=st.lists(st.integers(0, 9999), min_size=8, max_size=24), alive=st.booleans())
    def happens(self, picks, alive):
        """One thing after the other, each of those that are possible then."""
        self.rig.answers_probes = alive
        for pick in picks:
            options = possible(self.rig)
            name, act = options[pick % len(options)]
            note(f"  {self.rig.machine.phase}: {name}")
            act(self.rig)

    @rule(command=st.sampled_from(sorted(COMMANDS)))
    def the_caller_wants_to(self, command):
        COMMANDS[command](self.rig)

    @precondition(lambda self: len(self.rig.opened) > 1)
    @rule()
    def news_of_an_older_attempt(self):
        tell(self.rig, [*news(self.rig.attempt - 1), SocketEnded(self.rig.attempt - 1, "EOF")])


@pytest.mark.timeout(900)
def test_whatever_happens_the_invariants_hold(new_rig, bring, oracle):
    seen = {"steps": 0, "moves": set()}
    profile = settings()
    many = settings(profile, max_examples=3 * profile.max_examples // 2, stateful_step_count=20)
    run_state_machine_as_test(partial(Driven, new_rig, bring, oracle, seen), settings=many)
    rows = {(phase, trigger) for phase, trigger, _ in seen["moves"]}
    assert rows == set(TABLE), f"never seen: {[str(row) for row in set(TABLE) - rows]}"
    ways = {(*row, to) for row, where in TABLE.items() for to in where.to}
    never = ways - seen["moves"] - RARE
    assert not never, f"never gone: {[str(way) for way in never]}"
    assert seen["steps"] >= 10_000
