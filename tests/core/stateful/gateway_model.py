"""What the gateway has said in one session, tracked independently of the machine."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ibkr.core import events as event_of
from ibkr.core.events import Event, LostStream, Timer, TimerFired
from ibkr.core.machine_state import Phase as P

IN_SESSION = (P.STARTUP, P.RESTORING, P.UP)
DOWN, BACK = (1100, 2110), (1101, 1102)
FARM = {2103: "broken", 2104: "ok", 2105: "broken", 2106: "ok", 2107: "inactive", 2108: "inactive"}
FARM |= {2119: "connecting", 2157: "broken", 2158: "ok"}
BOOKS = {"open orders", "completed orders", "positions", "executions"}
EPSILON = 1e-5
ID_ALERT = "as in use (326)"
JOURNAL_FAILS = "the journal cannot be written"


def named(text: str) -> str:
    """The farm at the end of a notice."""
    return text.partition("demand." if "demand." in text else ":")[2]


def listed(text: str) -> dict[str, str]:
    """The farms that 1102 names, and their states."""
    connected, _, broken = text.partition(". The following farms are not connected:")
    lists = {"ok": connected.partition(" connected:")[2], "broken": broken}
    return {name.strip(" ."): state for state, names in lists.items() for name in names.split(";") if name}


@dataclass
class Link:
    """The known state of one session."""

    up: bool = False
    lost: bool = False
    is_other_login: bool = False
    announced: bool = False
    compared: bool = False
    upstream: str = "unknown"
    farms: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    declined: set[str] = field(default_factory=set)
    told_while_down: set[str] = field(default_factory=set)
    outdated: set[str] = field(default_factory=set)  # must be requested again; an answer that comes before is ignored
    held_back: int = 0
    refused: tuple[LostStream, ...] = ()
    withheld: tuple[LostStream, ...] = ()
    too_fast: int = 0
    read_only: bool = False
    restore_due: bool = True
    cancel_sent: bool = False
    cancels: int = 0
    probed: float | None = None
    probed_last: float = -math.inf
    blocked: float = 0.0

    def hear(self, code: int, text: str) -> None:
        """Process a code, before or during a session."""
        if code in DOWN:
            self.upstream = "down"
        elif code in BACK:
            self.upstream = "up"
            self.restore_due |= code == BACK[0]
            if listed(text):
                self.farms = listed(text)
        elif code in FARM:
            if named(text):
                self.farms[named(text)] = FARM[code]
            self.upstream = "down" if self.upstream == "down" else "up"
        elif code == 100:
            self.too_fast += 1
        elif code == 321:
            self.read_only |= "Read-Only" in text

    def take(self, event: Event, lateness_tolerance: float) -> None:
        """Process an event of the session itself."""
        match event:
            case event_of.StartupRequested(_, names):
                self.asked = set(names)
            case event_of.StartupRefused(_, name) if name in self.asked - self.outdated:
                self.declined.add(name)
                self.answered.discard(name)
                self.unreadable.discard(name)
            case event_of.StartupAnswered(_, names, read_only):
                told = set(names) - self.outdated
                self.answered |= told
                self.declined -= told
                self.unreadable -= told
                self.told_while_down -= told
                if self.upstream == "down":
                    self.told_while_down |= told & BOOKS
                self.read_only = read_only or (self.read_only and "open orders" not in names)
            case event_of.RowsNotDecoded(_, names):
                self.answered -= set(names)
                self.unreadable |= set(names) - self.outdated
            case event_of.SubscriptionsChanged(_, _, refused, _, withheld, held_back):
                self.refused, self.withheld, self.held_back = refused, withheld, held_back
            case event_of.ProbeAnswered():
                self.probed = None
            case TimerFired(Timer.UPSTREAM):
                self.upstream = "assumed"
            case TimerFired(Timer.LIVENESS, late) if late > lateness_tolerance:
                self.blocked += late

    def probe(self, now: float, apart: float) -> None:
        """Note that a probe is due. The session sends it at least ``apart`` seconds after the probe before it."""
        last = self.probed_last
        self.probed = self.probed_last = last if last > now else max(now, last + apart)
        self.blocked = 0.0
