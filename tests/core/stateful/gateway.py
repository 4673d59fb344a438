"""What the gateway has told in one session, heard by the tests' own ears."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ibkr.core import facts as fact_of
from ibkr.core.facts import Fact, Timer, TimerFired
from ibkr.core.situation import Phase as P

IN_SESSION = (P.STARTUP, P.RESTORING, P.UP)
DOWN, BACK = (1100, 2110), (1101, 1102)
FARM = {2103: "broken", 2104: "ok", 2105: "broken", 2106: "ok", 2107: "inactive", 2108: "inactive"}
FARM |= {2119: "connecting", 2157: "broken", 2158: "ok"}
BOOKS = {"open orders", "completed orders", "positions", "executions"}
EPSILON = 1e-5
ID_ALERT = "as in use (326)"


def named(text: str) -> str:
    """The farm at the end of a notice."""
    return text.partition("demand." if "demand." in text else ":")[2]


def listed(text: str) -> list[str]:
    """The farms that 1102 names."""
    return [name.strip() for name in text.partition("connected:")[2].rstrip(".").split(";") if name]


@dataclass
class Link:
    """What is known of one session."""

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
    told_while_down: set[str] = field(default_factory=set)
    refused: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    too_fast: int = 0
    read_only: bool = False
    restore_due: bool = True
    probed: float | None = None
    probed_last: float = -math.inf
    blocked: float = 0.0

    def hear(self, code: int, text: str) -> None:
        """A code, before there is a session or in it."""
        if code in DOWN:
            self.upstream = "down"
        elif code in BACK:
            self.upstream = "up"
            self.restore_due |= code == BACK[0]
            if listed(text):
                self.farms = dict.fromkeys(listed(text), "ok")
        elif code in FARM:
            if named(text):
                self.farms[named(text)] = FARM[code]
            self.upstream = "down" if self.upstream == "down" else "up"
        elif code == 100:
            self.too_fast += 1

    def take(self, fact: Fact, lateness_tolerance: float) -> None:
        """A fact of the session itself."""
        match fact:
            case fact_of.StartupAsked(_, names):
                self.asked |= set(names)
            case fact_of.StartupAnswered(_, names, read_only):
                self.answered |= set(names)
                told = set(names)
                self.unreadable -= told
                self.told_while_down -= told
                if self.upstream == "down":
                    self.told_while_down |= told & BOOKS
                self.read_only |= read_only
            case fact_of.RowsUnreadable(_, names):
                self.answered -= set(names)
                self.unreadable |= set(names)
            case fact_of.SubscriptionsMoved(_, _, refused, _, withheld):
                self.refused, self.withheld = refused, withheld
            case fact_of.Heard():
                self.probed = None
            case TimerFired(Timer.UPSTREAM):
                self.upstream = "assumed"
            case TimerFired(Timer.LIVENESS, late) if late > lateness_tolerance:
                self.blocked += late

    def probe(self, now: float, apart: float) -> None:
        """A probe is ordered; the session sends it no sooner than so long after the one before."""
        last = self.probed_last
        self.probed = self.probed_last = last if last > now else max(now, last + apart)
        self.blocked = 0.0
