"""A driver for the machine without an event loop: time, chance, the socket and the timers are a model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby

from ibkr.core import effects as do
from ibkr.core.calendar import Calendar
from ibkr.core.derive import view_of
from ibkr.core.effects import Effect
from ibkr.core.errors import Failure, FailureKind
from ibkr.core.facts import (
    AttemptFailed,
    ClockJumped,
    CodeReceived,
    ConnectWanted,
    DisconnectWanted,
    Fact,
    FarmsTold,
    Heard,
    Key,
    Now,
    PeerSeen,
    ReconnectWanted,
    RefusedStream,
    SessionOpened,
    SocketEnded,
    StartupAnswered,
    StartupAsked,
    StreamsWatched,
    SubscriptionsMoved,
    Timer,
    TimerFired,
    WatchedStream,
)
from ibkr.core.machine import Machine
from ibkr.core.policy import Policy
from ibkr.core.situation import Identity, Phase
from ibkr.core.status import Status

from .checks import check_outage

START = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
NAMES = ("positions", "open orders", "completed orders", "account updates", "executions")
TICK = 1e-6
_TESTED_APART = (Timer.ALERT, Timer.END_WATCH)
TEXTS = {
    2103: "Market data farm connection is broken:{}",
    2104: "Market data farm connection is OK:{}",
    2105: "HMDS data farm connection is broken:{}",
    2106: "HMDS data farm connection is OK:{}",
    2107: "HMDS data farm connection is inactive but should be available upon demand.{}",
    2108: "Market data farm connection is inactive but should be available upon demand.{}",
    2119: "Market data farm is connecting:{}",
    2157: "Sec-def data farm connection is broken:{}",
    2158: "Sec-def data farm connection is OK:{}",
}


class Rig:
    """One machine and the model that carries out its orders. Facts that an order entails follow at once.

    What every driver may rely on is checked at each step: one attempt at a time, one ``Publish`` for one change.
    """

    def __init__(self, policy: Policy, identity: Identity, roll: Callable[[], float], calendar: Calendar) -> None:
        self.policy = policy
        self.mono = 1000.0
        self.ahead = 0.0  # how far the wall clock has left the monotonic one behind
        self.machine = Machine(identity, policy, self.now, roll, calendar)
        self.socket: int | None = None
        self.opened: list[tuple[int, float]] = []
        self.timers: dict[Timer, float] = {}
        self.delays: list[tuple[Timer, float]] = []
        self.orders: list[Effect] = []
        self.published: list[Status] = []
        self.moves: set[tuple[Phase, object, Phase]] = set()
        self.steps = 0
        self.names: tuple[str, ...] = NAMES
        self.subscriptions = 0
        self.tickers: tuple[WatchedStream, ...] = ()
        self.last_byte = self.mono
        self.accepted = False
        self.asks_again = False
        self.answers_probes = False
        self.loses_ends = False
        self.answers_looks = True
        self.peer: Failure | None = None  # what a look at the port finds
        self.watch: Callable[[Fact, Phase, list[Effect]], None] = lambda fact, phase, effects: None
        self._queue: deque[Fact] = deque()

    @property
    def now(self) -> Now:
        """The moment, by both clocks."""
        return Now(self.mono, START + timedelta(seconds=self.mono - 1000.0 + self.ahead))

    status = property(lambda self: self.machine.status)
    state = property(lambda self: self.machine.status.state)

    @property
    def running(self) -> dict[Timer, float]:
        """The timers that run, but the alert's and the one for a lost end: those have tests of their own."""
        return {timer: due for timer, due in self.timers.items() if timer not in _TESTED_APART}

    @property
    def attempt(self) -> int:
        """The number of the newest attempt."""
        return self.opened[-1][0]

    @property
    def states(self) -> list[str]:
        """The states published since the last ``forget``, repeats left out."""
        return [state for state, _ in groupby(str(status.state) for status in self.published)]

    @property
    def asked(self) -> list[tuple[Key, ...]]:
        """The streams that were ordered to be asked for again since then, by order."""
        return [order.req_ids for order in self.orders if isinstance(order, do.AskStreams)]

    def forget(self) -> None:
        """Begin the record of orders, delays and published statuses anew."""
        self.orders.clear()
        self.published.clear()
        self.delays.clear()

    def fact(self, fact: Fact) -> list[Effect]:
        """Hand in one fact and carry out what follows; the orders given in return to this one."""
        effects = self._take(fact)
        while self._queue:
            self._take(self._queue.popleft())
        return effects

    def advance(self, seconds: float) -> None:
        """Let time pass; the timers that come due fire in order, each on time."""
        end, fired = self.mono + seconds, 0
        while self.timers and min(self.timers.values()) <= end:
            timer = min(self.timers, key=lambda each: self.timers[each])
            fired = 0 if self.timers[timer] > self.mono else fired + 1
            assert fired < 100, f"the timer {timer} goes round and round"
            self.mono = max(self.mono, self.timers[timer])
            self.fire(timer)
        self.mono = end

    def block(self, seconds: float) -> None:
        """Let time pass while our own loop is blocked: what came due meanwhile fires late."""
        self.mono += seconds
        for timer, due in sorted(self.timers.items(), key=lambda item: item[1]):
            if self.timers.get(timer) == due <= self.mono:  # neither stopped nor set anew meanwhile
                self.fire(timer)

    def jump(self, seconds: float, *, noticed: bool = True) -> None:
        """The wall clock goes ahead, as when the machine slept."""
        self.ahead += seconds
        if noticed:
            self.fact(ClockJumped(seconds))

    def fire(self, timer: Timer) -> None:
        """Fire a timer that runs."""
        late = max(0.0, self.mono - self.timers.pop(timer))
        if timer is Timer.END_WATCH and not self.loses_ends:
            self.end()  # as the system sees to it, and long before
            return
        self.fact(TimerFired(timer, late, self.last_byte, self.accepted))

    def connect(self, attempts: int | None = 3) -> None:
        self.fact(ConnectWanted(attempts))

    def disconnect(self, *, abort: bool = False) -> None:
        self.fact(DisconnectWanted(abort))

    def reconnect(self) -> None:
        self.fact(ReconnectWanted())

    def accept(self) -> None:
        """The port takes the TCP connection of the newest attempt."""
        self.accepted = True

    def refuse(self, kind: FailureKind = FailureKind.UNREACHABLE, detail: str = "connection refused") -> None:
        """The attempt fails for this cause, and its socket ends."""
        self.fact(AttemptFailed(self.attempt, Failure(kind, detail)))
        self.end()

    def end(self, detail: str = "the gateway closed the connection", *, before_any_byte: bool = False) -> None:
        """The socket of the newest attempt ends."""
        self.fact(SocketEnded(self.attempt, detail, before_any_byte))

    def open_session(
        self, *, version: int = 178, accounts: tuple[str, ...] = ("DU1234567",), to_restore: bool = True
    ) -> None:
        self.last_byte = self.mono
        self.asks_again = False
        self.fact(SessionOpened(self.attempt, version, accounts, self.names, to_restore))

    def answer(self, *names: str, read_only: bool = False) -> None:
        for each in names or self.names:
            self.fact(StartupAnswered(self.attempt, (each,), read_only))

    def code(self, code: int, farm: str = "", text: str | None = None) -> None:
        text = TEXTS.get(code, "").format(farm) if text is None else text
        if code in TEXTS:
            self.farms((code, text))
        else:
            self.fact(CodeReceived(self.attempt, code, text))

    def farms(self, *notices: tuple[int, str]) -> None:
        self.fact(FarmsTold(self.attempt, notices))

    def moved(self, pending: int, *refused: str) -> None:
        self.fact(SubscriptionsMoved(self.attempt, pending, tuple(map(RefusedStream, refused))))

    def hear(self) -> None:
        self.last_byte = self.mono
        self.fact(Heard(self.attempt))

    def come_up(self) -> None:
        """A session that has all it needs, from the open attempt on."""
        self.accept()
        self.open_session()
        self.code(2104, "usfarm")
        self.answer()

    @property
    def known(self) -> str:
        """All that the machine knows, in words."""
        situation = self.machine._situation
        return f"{vars(situation)} {vars(situation.session)}"

    def _take(self, fact: Fact) -> list[Effect]:
        before, phase = self.machine.status, self.machine.phase
        newest = self.opened[-1][0] if self.opened else 0
        effects = self.machine.step(fact, self.now)
        machine = self.machine
        assert view_of(machine._situation, machine.identity, machine.policy) == machine._view, "shown too late"
        if getattr(fact, "attempt", newest) == newest:
            self.steps += 1
            trigger = fact.timer if isinstance(fact, TimerFired) else type(fact)
            self.moves.add((phase, trigger, self.machine.phase))
        if isinstance(fact, SocketEnded) and fact.attempt == self.socket:
            self.socket = None
        shown = [effect.status for effect in effects if isinstance(effect, do.Publish)]
        assert shown == ([self.status] if self.status != before else []), "each change is published once"
        assert not shown or isinstance(effects[-1], do.Publish), "a status is shown after the orders that it tells of"
        assert self.status.since == (before.since if self.state is before.state else self.now.wall)
        check_outage(before, self.status)
        self.published += shown
        for effect in effects:
            self._carry_out(effect)
        self.watch(fact, phase, effects)
        return effects

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case do.StartTimer(timer, delay):
                assert delay >= 0
                # A clock moves on between two firings, if only by a tick; a rounding error alone would not.
                self.timers[timer] = self.mono + (max(delay, TICK) if delay else 0.0)
                if timer not in _TESTED_APART:
                    self.delays.append((timer, delay))
            case do.StopTimer(timer):
                self.timers.pop(timer, None)
            case do.Publish():
                pass  # shown by now
            case _:
                self._order(effect)

    def _order(self, order: Effect) -> None:
        self.orders.append(order)
        match order:
            case do.Open(attempt, _):
                assert self.socket is None, "never two attempts at once"
                assert not self.opened or attempt > self.opened[-1][0], "no number is used twice"
                self.socket = attempt
                self.accepted = False
                self.opened.append((attempt, self.mono))
            case do.Close(attempt) | do.Abort(attempt):
                assert attempt == self.socket, "only an open socket is ended"
            case do.StartUp(attempt) if self.asks_again:
                self._queue.append(StartupAsked(attempt, self.names))
            case do.StartUp():
                self.asks_again = True
            case do.Restore(attempt):
                self._queue.append(SubscriptionsMoved(attempt, self.subscriptions))
            case do.Probe(attempt) if self.answers_probes:
                self.last_byte = self.mono
                self._queue.append(Heard(attempt))
            case do.Look(attempt) if self.answers_looks:
                self._queue.append(PeerSeen(attempt, self.peer))
            case do.Watch(attempt, _, _, farm):
                self._queue.append(StreamsWatched(attempt, farm, self.tickers))
            case do.Release() | do.Look():
                pass
            case _:
                assert order.attempt == self.socket
