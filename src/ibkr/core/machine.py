"""The state machine: takes an event and the time, and returns effects. No other code changes the connection's state."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from ibkr.core.attempt_failure import Failure
from ibkr.core.effects import Effect, PublishStatus
from ibkr.core.events import Event, Now, TimerFired
from ibkr.core.frozen_record import replace
from ibkr.core.halt_and_lease import send_due_cancel
from ibkr.core.machine_state import IN_SESSION, Identity, MachineState, Phase
from ibkr.core.maintenance_calendar import Calendar
from ibkr.core.outage import update_outage
from ibkr.core.outage_alert import update_trouble
from ibkr.core.policy import Policy
from ibkr.core.serialization import sanitize, sanitize_text
from ibkr.core.states import ConnectionState
from ibkr.core.status import Status
from ibkr.core.status_fields import alert_text, status_fields
from ibkr.core.step import Step
from ibkr.core.transitions import TRANSITIONS


class IllegalEvent(Exception):
    """An event that cannot happen in this phase: a defect in our own code."""


class Machine:
    """Decides what the connection does next. Pure: no I/O and no clock.

    Call ``step`` with each event in order, then carry out the returned effects in order. ``roll`` returns a
    random number from 0 to below 1.
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
        self._state = MachineState(identity.port)
        self._state.maintenance, self._state.calendar_holds_until = calendar.window_at(now.wall)
        self._fields: dict[str, Any] = {}
        self._outage_began = now.mono
        self._status: Status
        self._update_status(status_fields(self._state, identity, policy), now)

    @property
    def status(self) -> Status:
        """The status after the last step."""
        return self._status

    @property
    def phase(self) -> Phase:
        """Where the connection is in its life cycle."""
        return self._state.phase

    @property
    def port(self) -> int:
        """The port of the session or of the next attempt."""
        return self._state.port

    @property
    def is_quiet(self) -> bool:
        """Whether no connection is requested and no attempt or socket is left."""
        return self._state.phase in (Phase.IDLE, Phase.FAILED) and not self._state.socket_open

    @property
    def is_wanted(self) -> bool:
        """Whether a session is up or attempts are made."""
        return self._state.phase not in (Phase.IDLE, Phase.FAILED)

    @property
    def is_in_session(self) -> bool:
        """Whether messages can be sent in a session, as far as the state machine knows."""
        return self._state.phase in IN_SESSION and self._state.session.is_usable

    @property
    def is_identifying_peer(self) -> bool:
        """Whether the state machine waits until it knows what the port speaks."""
        return self._state.phase is Phase.IDENTIFYING

    @property
    def failure(self) -> Failure | None:
        """The last failed attempt, until a session is up."""
        return self._state.failure

    @property
    def attempts(self) -> int:
        """Attempts since the state machine was made."""
        return self._state.attempt

    @property
    def attempts_made(self) -> int:
        """Attempts since the last good session."""
        return self._state.attempts_made

    def step(self, event: Event, now: Now) -> list[Effect]:
        """Handle one event and return the effects that follow from it.

        Events of an older attempt are ignored.

        Raises:
            IllegalEvent: The transition table has no row for this event in this phase. Nothing has changed.
        """
        s = self._state
        if getattr(event, "attempt", s.attempt) != s.attempt:
            return []
        event = sanitize(event)  # text from the gateway enters the state machine only here
        trigger = event.timer if isinstance(event, TimerFired) else type(event)
        row = TRANSITIONS.get((s.phase, trigger))
        if row is None:
            raise IllegalEvent(f"{event} in phase {s.phase}")
        phase_before = s.phase
        step = Step(s, self.identity, self.policy, now, self._roll, self._calendar)
        row.react(step, event)
        if s.phase not in row.to:
            raise IllegalEvent(f"{event} led from {phase_before} to {s.phase}, which the table does not allow")
        send_due_cancel(step)
        if step.is_status_unchanged:
            return step.effects
        view = status_fields(s, self.identity, self.policy)
        update_trouble(step, view["state"])
        view["alert"] = alert_text(s)
        if self._update_status(view, now):
            step.do(PublishStatus(self._status))
        return step.effects

    def _update_status(self, view: dict[str, Any], now: Now) -> bool:
        """Update the status. Returns whether it changed."""
        s = self._state
        if view == self._fields:
            if self._status.upstream_notices != s.upstream_notices:
                self._status = replace(self._status, upstream_notices=s.upstream_notices)
            return False
        before, after = self._fields.get("state"), view["state"]
        if after is not before:
            self._since = now.wall
        number = s.outage.number if s.outage else 0
        s.outage = update_outage(s.outage, before, view, self._since, now.mono - self._outage_began)
        if s.outage and s.outage.number != number:
            self._outage_began = now.mono
        if after is ConnectionState.READY or s.outage is None:
            s.gap_outage = 0
        elif not s.outage.is_over:
            s.gap_outage = s.outage.number
        view["outages"] = s.outage.number if s.outage else 0
        self._fields = view
        self._status = Status(
            **{**view, "farms": MappingProxyType(view["farms"])},
            since=self._since,
            as_of=now.wall,
            upstream_notices=s.upstream_notices,
            outage=s.outage,
        )
        return True

    def break_off(self, detail: str, now: Now, *, socket_gone: bool = False) -> None:
        """Stop without the transition table, because of an internal error. The state becomes ``FAILED``.

        The state machine still waits for an open socket to close. It does not wait with ``socket_gone``, or if the
        socket's transport has closed, because nothing more can come from the socket then.
        """
        self._state.phase = Phase.FAILED
        self._state.failure = None
        self._state.broken_off = sanitize_text(detail)
        self._state.next_retry_at = None
        self._state.trouble_since = None
        self._state.alert = self._state.id_alert = ""
        if socket_gone or not self._state.session.is_usable:
            self._state.socket_open = False
        self._update_status(status_fields(self._state, self.identity, self.policy), now)
