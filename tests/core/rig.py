"""Runs the state machine without an event loop: time, random numbers, the socket and the timers are a model.

This file has over 300 lines because all tests of the core use it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby

from ibkr.core import effects as do
from ibkr.core.effects import Effect
from ibkr.core.errors import Failure, FailureKind
from ibkr.core.events import (
    ActiveStream,
    ActiveStreamsFound,
    AttemptFailed,
    ClockJumped,
    CodeReceived,
    ConnectRequested,
    DisconnectRequested,
    Event,
    FarmStatusReceived,
    Key,
    LostStream,
    Now,
    PeerIdentified,
    ProbeAnswered,
    ReconnectRequested,
    SessionOpened,
    SocketClosed,
    StartupAnswered,
    StartupRequested,
    SubscriptionsChanged,
    Timer,
    TimerFired,
)
from ibkr.core.machine import Machine
from ibkr.core.machine_state import Identity, Phase
from ibkr.core.maintenance_calendar import Calendar
from ibkr.core.policy import Policy
from ibkr.core.status import Status
from ibkr.core.status_fields import status_fields

from .status_invariants import check_outage

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
    """One machine, and a model that carries out its effects.

    An event that follows from an effect comes immediately. Each step checks two rules for every driver: there is only
    one attempt at a time, and each change is published once.
    """

    def __init__(self, policy: Policy, identity: Identity, roll: Callable[[], float], calendar: Calendar) -> None:
        self.policy = policy
        self.mono = 1000.0
        self.ahead = 0.0  # how far the wall clock is ahead of the monotonic clock
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
        self.tickers: tuple[ActiveStream, ...] = ()
        self.last_message = self.mono
        self.accepted = False
        self.asks_again = False
        self.answers_probes = False
        self.loses_ends = False
        self.answers_looks = True
        self.peer: Failure | None = None  # what the connector finds when it looks at the port
        self.watch: Callable[[Event, Phase, list[Effect]], None] = lambda event, phase, effects: None
        self._queue: deque[Event] = deque()

    @property
    def now(self) -> Now:
        """The current time by both clocks."""
        return Now(self.mono, START + timedelta(seconds=self.mono - 1000.0 + self.ahead))

    status = property(lambda self: self.machine.status)
    state = property(lambda self: self.machine.status.state)

    @property
    def running(self) -> dict[Timer, float]:
        """The running timers, except those for the alert and for a lost end, which have their own tests."""
        return {timer: due for timer, due in self.timers.items() if timer not in _TESTED_APART}

    @property
    def attempt(self) -> int:
        """The number of the newest attempt."""
        return self.opened[-1][0]

    @property
    def states(self) -> list[str]:
        """The states published since the last ``forget``, without repeats."""
        return [state for state, _ in groupby(str(status.state) for status in self.published)]

    @property
    def asked(self) -> list[tuple[Key, ...]]:
        """The streams that were requested again since the last ``forget``, for each effect."""
        return [order.req_ids for order in self.orders if isinstance(order, do.RequestStreams)]

    def forget(self) -> None:
        """Clear the record of effects, delays and published statuses."""
        self.orders.clear()
        self.published.clear()
        self.delays.clear()

    def event(self, event: Event) -> list[Effect]:
        """Post one event and carry out all effects that follow. Returns the effects of this event only."""
        effects = self._take(event)
        while self._queue:
            self._take(self._queue.popleft())
        return effects

    def advance(self, seconds: float) -> None:
        """Let time pass. Each timer that comes due fires on time."""
        end, fired = self.mono + seconds, 0
        while self.timers and min(self.timers.values()) <= end:
            timer = min(self.timers, key=lambda each: self.timers[each])
            fired = 0 if self.timers[timer] > self.mono else fired + 1
            assert fired < 100, f"the timer {timer} goes round and round"
            self.mono = max(self.mono, self.timers[timer])
            self.fire(timer)
        self.mono = end

    def block(self, seconds: float) -> None:
        """Let time pass while our own loop is blocked. The timers that came due during this time fire late."""
        self.mono += seconds
        for timer, due in sorted(self.timers.items(), key=lambda item: item[1]):
            if self.timers.get(timer) == due <= self.mono:  # the timers before it did not stop or restart it
                self.fire(timer)

    def jump(self, seconds: float, *, noticed: bool = True) -> None:
        """Move the wall clock forward, as after a suspend of the machine."""
        self.ahead += seconds
        if noticed:
            self.event(ClockJumped(seconds))

    def fire(self, timer: Timer) -> None:
        """Fire a running timer."""
        late = max(0.0, self.mono - self.timers.pop(timer))
        if timer is Timer.END_WATCH and not self.loses_ends:
            self.end()  # the system ends the socket long before this timer would
            return
        self.event(TimerFired(timer, late, self.last_message, self.accepted))

    def connect(self, attempts: int | None = 3) -> None:
        self.event(ConnectRequested(attempts))

    def disconnect(self, *, abort: bool = False) -> None:
        self.event(DisconnectRequested(abort))

    def reconnect(self) -> None:
        self.event(ReconnectRequested())

    def accept(self) -> None:
        """The port accepts the TCP connection of the newest attempt."""
        self.accepted = True

    def refuse(self, kind: FailureKind = FailureKind.UNREACHABLE, detail: str = "connection refused") -> None:
        """The attempt fails with this cause, and its socket ends."""
        self.event(AttemptFailed(self.attempt, Failure(kind, detail)))
        self.end()

    def end(self, detail: str = "the gateway closed the connection", *, before_any_byte: bool = False) -> None:
        """The socket of the newest attempt ends."""
        self.event(SocketClosed(self.attempt, detail, before_any_byte))

    def open_session(
        self, *, version: int = 178, accounts: tuple[str, ...] = ("DU1234567",), to_restore: bool = True
    ) -> None:
        self.last_message = self.mono
        self.asks_again = False
        self.event(SessionOpened(self.attempt, version, accounts, self.names, to_restore))

    def answer(self, *names: str, read_only: bool = False) -> None:
        for each in names or self.names:
            self.event(StartupAnswered(self.attempt, (each,), read_only))

    def code(self, code: int, farm: str = "", text: str | None = None) -> None:
        text = TEXTS.get(code, "").format(farm) if text is None else text
        if code in TEXTS:
            self.farms((code, text))
        else:
            self.event(CodeReceived(self.attempt, code, text))

    def link_back(self, text: str = "") -> None:
        """Post 1102, and the answers to the requests that follow it."""
        self.code(1102, text=text)
        self.answer()

    def farms(self, *notices: tuple[int, str]) -> None:
        self.event(FarmStatusReceived(self.attempt, notices))

    def moved(self, pending: int, *refused: str) -> None:
        self.event(
            SubscriptionsChanged(
                self.attempt, pending, tuple(LostStream(n, None, words) for n, words in enumerate(refused, 1))
            )
        )

    def hear(self) -> None:
        self.last_message = self.mono
        self.event(ProbeAnswered(self.attempt))

    def come_up(self) -> None:
        """A complete session, from the open attempt on."""
        self.accept()
        self.open_session()
        self.code(2104, "usfarm")
        self.answer()

    @property
    def known(self) -> str:
        """All that the machine knows, as text."""
        situation = self.machine._state
        return f"{vars(situation)} {vars(situation.session)}"

    def _take(self, event: Event) -> list[Effect]:
        before, phase = self.machine.status, self.machine.phase
        newest = self.opened[-1][0] if self.opened else 0
        effects = self.machine.step(event, self.now)
        machine = self.machine
        assert status_fields(machine._state, machine.identity, machine.policy) == machine._fields, "shown too late"
        if getattr(event, "attempt", newest) == newest:
            self.steps += 1
            trigger = event.timer if isinstance(event, TimerFired) else type(event)
            self.moves.add((phase, trigger, self.machine.phase))
        if isinstance(event, SocketClosed) and event.attempt == self.socket:
            self.socket = None
        shown = [effect.status for effect in effects if isinstance(effect, do.PublishStatus)]
        assert shown == ([self.status] if self.status != before else []), "each change is published once"
        assert not shown or isinstance(effects[-1], do.PublishStatus), (
            "a status is shown after the orders that it tells of"
        )
        assert self.status.since == (before.since if self.state is before.state else self.now.wall)
        check_outage(before, self.status)
        self.published += shown
        for effect in effects:
            self._carry_out(effect)
        self.watch(event, phase, effects)
        return effects

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case do.StartTimer(timer, delay):
                assert delay >= 0
                # A real clock always advances between two timers. The clock of this rig could stand still, because a
                # very short delay can be lost in rounding. So a delay is at least TICK, unless it is 0.
                self.timers[timer] = self.mono + (max(delay, TICK) if delay else 0.0)
                if timer not in _TESTED_APART:
                    self.delays.append((timer, delay))
            case do.StopTimer(timer):
                self.timers.pop(timer, None)
            case do.PublishStatus():
                pass  # the machine has already published the status
            case _:
                self._order(effect)

    def _order(self, order: Effect) -> None:
        self.orders.append(order)
        match order:
            case do.StartAttempt(attempt, _):
                assert self.socket is None, "never two attempts at the same time"
                assert not self.opened or attempt > self.opened[-1][0], "no number is used twice"
                self.socket = attempt
                self.accepted = False
                self.opened.append((attempt, self.mono))
            case do.CloseSocket(attempt) | do.AbortSocket(attempt):
                assert attempt == self.socket, "only an open socket is ended"
            case do.SendStartupRequests(attempt) if self.asks_again:
                self._queue.append(StartupRequested(attempt, self.names))
            case do.SendStartupRequests():
                self.asks_again = True
            case do.RestoreSubscriptions(attempt):
                self._queue.append(SubscriptionsChanged(attempt, self.subscriptions))
            case do.SendProbe(attempt) if self.answers_probes:
                self.last_message = self.mono
                self._queue.append(ProbeAnswered(attempt))
            case do.IdentifyPeer(attempt) if self.answers_looks:
                self._queue.append(PeerIdentified(attempt, self.peer))
            case do.FindActiveStreams(attempt, _, _, farm):
                self._queue.append(ActiveStreamsFound(attempt, farm, self.tickers))
            case do.EndSubscriptions() | do.RecordGlobalCancel() | do.IdentifyPeer():
                pass
            case _:
                assert order.attempt == self.socket
