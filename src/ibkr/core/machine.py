"""The machine: takes a fact and the moment, gives back orders. The one writer of the state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ibkr.core.alarm import follow
from ibkr.core.calendar import Calendar
from ibkr.core.derive import alert_of, view_of
from ibkr.core.effects import Effect, Publish
from ibkr.core.facts import Fact, Now, TimerFired
from ibkr.core.failure import Failure
from ibkr.core.outage import follow_outage
from ibkr.core.policy import Policy
from ibkr.core.situation import IN_SESSION, Identity, Phase, Situation
from ibkr.core.state import ConnectionState
from ibkr.core.status import Status
from ibkr.core.step import Step
from ibkr.core.table import TABLE


class IllegalFact(Exception):
    """A fact that cannot happen in this phase: a mistake in our own code."""


class Machine:
    """Decides. Hand it each fact in order with ``step``, then carry out what it returns, in order.

    ``roll`` gives chance, from 0 to below 1. It does no I/O and looks at no clock.
    """

    def __init__(
        self,
        identity: Identity,
        policy: Policy,
        now: Now,
        roll: Callable[[], float],
        calendar: Calendar = Calendar(),  # noqa: B008 - it has no state
    ) -> None:
        self.identity = identity
        self.policy = policy
        self._roll = roll
        self._calendar = calendar
        self._situation = Situation(identity.port)
        self._situation.maintenance, self._situation.calendar_holds_until = calendar.look(now.wall)
        self._view: dict[str, Any] = {}
        self._status: Status
        self._show(view_of(self._situation, identity, policy), now)

    @property
    def status(self) -> Status:
        """How the connection stands after the last step."""
        return self._status

    @property
    def phase(self) -> Phase:
        """Where the life of the session stands."""
        return self._situation.phase

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is wanted and nothing is left: no attempt, no socket."""
        return self._situation.phase in (Phase.IDLE, Phase.FAILED) and not self._situation.socket_open

    @property
    def is_wanted(self) -> bool:
        """Whether a session is up or under way."""
        return self._situation.phase not in (Phase.IDLE, Phase.FAILED)

    @property
    def is_in_session(self) -> bool:
        """Whether messages can be sent in a session, as far as it is known here."""
        return self._situation.phase in IN_SESSION and self._situation.session.is_usable

    @property
    def is_looking(self) -> bool:
        """Whether a look at what the port speaks is awaited."""
        return self._situation.phase is Phase.LOOKING

    @property
    def failure(self) -> Failure | None:
        """The last failed attempt, until a session comes."""
        return self._situation.failure

    @property
    def attempts(self) -> int:
        """Attempts since the machine was made."""
        return self._situation.attempt

    @property
    def attempts_made(self) -> int:
        """Attempts since the session was last whole."""
        return self._situation.attempts_made

    def step(self, fact: Fact, now: Now) -> list[Effect]:
        """Take one fact; the orders that follow from it.

        News of an older attempt than the newest is dropped. Raises ``IllegalFact``, with nothing changed, for a fact
        that stands in no row of the table.
        """
        s = self._situation
        if getattr(fact, "attempt", s.attempt) != s.attempt:
            return []
        trigger = fact.timer if isinstance(fact, TimerFired) else type(fact)
        row = TABLE.get((s.phase, trigger))
        if row is None:
            raise IllegalFact(f"{fact} in phase {s.phase}")
        phase_before = s.phase
        step = Step(s, self.identity, self.policy, now, self._roll, self._calendar)
        row.react(step, fact)
        if s.phase not in row.to:
            raise IllegalFact(f"{fact} led from {phase_before} to {s.phase}, which the table does not allow")
        if step.shows_nothing:
            return step.effects
        view = view_of(s, self.identity, self.policy)
        follow(step, view["state"])
        view["alert"] = alert_of(s)
        if self._show(view, now):
            step.do(Publish(self._status))
        return step.effects

    def _show(self, view: dict[str, Any], now: Now) -> bool:
        """Bring the status up to date; True when it says anything new."""
        s = self._situation
        if view == self._view:
            if self._status.upstream_notices != s.upstream_notices:
                self._status = replace(self._status, upstream_notices=s.upstream_notices)
            return False
        before, after = self._view.get("state"), view["state"]
        if after is not before:
            self._since = now.wall
        s.outage = follow_outage(s.outage, before, view, self._since)
        if after is ConnectionState.READY or s.outage is None:
            s.gap_outage = 0
        elif not s.outage.is_over:
            s.gap_outage = s.outage.number
        view["outages"] = s.outage.number if s.outage else 0
        self._view = view
        self._status = Status(
            **{**view, "farms": MappingProxyType(view["farms"])},
            since=self._since,
            as_of=now.wall,
            upstream_notices=s.upstream_notices,
            outage=s.outage,
        )
        return True

    def break_off(self, detail: str, now: Now, *, socket_gone: bool = False) -> None:
        """Give up without asking the table: no row can be trusted any more. State: ``FAILED``.

        An open socket's end is still awaited, unless it is ``socket_gone`` without a word, or its transport has ended:
        then nothing more can come of it.
        """
        self._situation.phase = Phase.FAILED
        self._situation.failure = None
        self._situation.broken_off = detail
        self._situation.next_retry_at = None
        self._situation.trouble_since = None
        self._situation.alert = self._situation.id_alert = ""
        if socket_gone or not self._situation.session.is_usable:
            self._situation.socket_open = False
        self._show(view_of(self._situation, self.identity, self.policy), now)
