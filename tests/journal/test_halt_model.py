"""Random orders of halts, resumes, deliveries, lost sessions and restarts: no due cancel is lost or sent twice.

The switch, the halt file and the machine are the real ones. The model below plays the operators, the fleet's servers
and the gateway.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ibkr.core import effects as do
from ibkr.core.events import Event, GlobalCancelDelivered
from ibkr.core.machine_state import Identity
from ibkr.core.maintenance_calendar import Calendar
from ibkr.core.policy import Policy
from ibkr.journal.halt_file import Halt, HaltFile, new_halt
from ibkr.session.orders.order_halt import HaltSwitch
from tests.core.rig import Rig

LOCAL, FLEET = "local", "fleet"


@dataclass(eq=False)
class Request:
    """A request to cancel all orders. ``is_known``: the program has read it."""

    source: str
    is_known: bool = False


@dataclass
class World:
    """Operators, the fleet's servers and a gateway around one program."""

    journal: Path
    halted: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    on_the_way: list[tuple[GlobalCancelDelivered, list[Request]]] = field(default_factory=list)
    fleet_halt: Halt | None = None
    recorded: set[str] = field(default_factory=set)
    reasons: int = 0
    arriving: list[Request] = field(default_factory=list)
    is_resume_unread: bool = False

    def __post_init__(self) -> None:
        self.restart()

    # What operators do.

    def new_reason(self, source: str, *, cancel_all: bool) -> str:
        self.reasons += 1
        self.halted[source] = f"{source} {self.reasons}"
        if cancel_all:
            self.requests.append(Request(source))
        return self.halted[source]

    def resumed(self, source: str) -> None:
        self.halted.pop(source, None)
        self.requests = [each for each in self.requests if each.source != source]

    def halt(self) -> None:
        self._halt(cancel_all=False)

    def halt_and_cancel(self) -> None:
        self._halt(cancel_all=True)

    def _halt(self, *, cancel_all: bool) -> None:
        reason = self.new_reason(LOCAL, cancel_all=cancel_all)
        self.learn()
        self.switch.halt(reason, cancel_all=cancel_all)

    def halt_outside(self) -> None:
        """It may keep a cancel that is on the way just now. That one is sent once more, to be sure."""
        is_kept = any(each.source == LOCAL for each in self.requests)
        reason = self.new_reason(LOCAL, cancel_all=is_kept)
        HaltFile(self.journal).write(new_halt(reason, "me", cancel_all=False))

    def halt_and_cancel_outside(self) -> None:
        HaltFile(self.journal).write(new_halt(self.new_reason(LOCAL, cancel_all=True), "me", cancel_all=True))

    def resume(self) -> None:
        self.resumed(LOCAL)
        self.learn()
        self.switch.resume()

    def resume_outside(self) -> None:
        self.is_resume_unread = True
        self.resumed(LOCAL)
        HaltFile(self.journal).remove()

    def halt_fleet(self) -> None:
        was = self.fleet_halt
        halt = Halt(self.new_reason(FLEET, cancel_all=False), "me", f"at {self.reasons}")
        if was is not None and was.cancel_all:  # as administration.halt does
            halt = replace(halt, cancel_all=True, at=was.at)
        self.fleet_halt = halt
        self.tell_fleet_halt()

    def halt_fleet_and_cancel(self) -> None:
        reason = self.new_reason(FLEET, cancel_all=True)
        self.fleet_halt = Halt(reason, "me", f"at {self.reasons}", cancel_all=True)
        self.tell_fleet_halt()

    def resume_fleet(self) -> None:
        self.resumed(FLEET)
        self.fleet_halt = None
        self.tell_fleet_halt()

    def tell_fleet_halt(self) -> None:
        """The watch of the fleet's bucket tells the program about the halt, perhaps once more."""
        self.learn()
        halt = self.fleet_halt
        if halt is not None and halt.at in self.recorded:
            halt = replace(halt, cancelled_at=halt.at)
        self.switch.set_fleet_halt(halt, self.recorded.add)

    # What the program and the gateway do.

    def look(self) -> None:
        self.learn()
        self.switch.refresh()

    def learn(self) -> None:
        self.is_resume_unread = False
        for each in self.requests:
            each.is_known = True

    def sent(self, order: do.SendGlobalCancel) -> None:
        assert self.requests or self.is_resume_unread, "nobody wants this cancel"
        self.switch.cancel_sent()
        covered = [each for each in self.requests if each.is_known]
        self.on_the_way.append((GlobalCancelDelivered(order.attempt, order.number), covered))

    def cancelled(self) -> None:
        self.requests = [each for each in self.requests if not any(each is one for one in self.arriving)]
        self.switch.cancelled()
        self.learn()

    def deliver(self) -> None:
        """The answer that shows that a cancel has arrived."""
        if self.on_the_way:
            event, self.arriving = self.on_the_way.pop(0)
            self.rig.post(event)

    def lose_link(self) -> None:
        self.rig.code(1100)

    def link_back(self) -> None:
        self.rig.link_back()

    def lose_session(self) -> None:
        self.on_the_way.clear()
        self.rig.end()
        self.come_up()

    def restart(self) -> None:
        """The program ends and starts again."""
        self.on_the_way.clear()
        self.rig = ProgramRig(self)
        self.switch = HaltSwitch(HaltFile(self.journal), self.rig.post)
        self.look()
        self.tell_fleet_halt()
        self.rig.connect()
        self.come_up()

    def come_up(self) -> None:
        while self.rig.socket is None:
            self.rig.advance(1.0)
        self.rig.come_up()

    def settle(self) -> None:
        """At last everything is read, the link is back, and all answers come."""
        self.look()
        self.tell_fleet_halt()
        self.rig.link_back()
        while self.on_the_way:
            self.deliver()
        assert not self.requests, "a due cancel is lost"
        for _ in range(2):  # and now nothing more may be sent: ``sent`` checks it
            self.look()
            self.tell_fleet_halt()
            self.lose_session()
            self.restart()
        assert self.rig.status.halted == (self.halted.get(LOCAL) or self.halted.get(FLEET) or "")


class ProgramRig(Rig):
    """Carries out the effects of the global cancel as a session does."""

    def __init__(self, world: World) -> None:
        super().__init__(Policy(), Identity("127.0.0.1", 7497, 7, 5.0, False, ""), lambda: 0.0, Calendar())
        self._world, self._is_busy = world, False

    def post(self, event: Event) -> None:
        if self._is_busy:
            self._queue.append(event)
        else:
            self.event(event)

    def event(self, event: Event) -> list[do.Effect]:
        self._is_busy = True
        try:
            return super().event(event)
        finally:
            self._is_busy = False

    def _order(self, order: do.Effect) -> None:
        super()._order(order)
        match order:
            case do.SendGlobalCancel():
                self._world.sent(order)
            case do.RecordGlobalCancel():
                self._world.cancelled()


STEPS = [
    World.halt,
    World.halt_and_cancel,
    World.halt_outside,
    World.halt_and_cancel_outside,
    World.resume,
    World.resume_outside,
    World.halt_fleet,
    World.halt_fleet_and_cancel,
    World.resume_fleet,
    World.tell_fleet_halt,
    World.look,
    World.deliver,
    World.lose_link,
    World.link_back,
    World.lose_session,
    World.restart,
]


@pytest.mark.parametrize("first", STEPS)
def test_a_cancel_is_neither_lost_nor_sent_again(tmp_path: Path, first: Callable[[World], None]) -> None:
    for seed in range(60):
        dice = random.Random(f"{first.__name__} {seed}")
        steps = [first, *dice.choices(STEPS, k=dice.randrange(1, 8))]
        world = World(tmp_path / f"{seed}.sqlite")
        try:
            for step in steps:
                step(world)
            world.settle()
        except AssertionError as error:
            error.add_note(f"seed {seed}: {', '.join(each.__name__ for each in steps)}")
            raise
