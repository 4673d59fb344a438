"""Decides when the gateway is restarted. Pure: no clock, no process, no file.

Call ``RestartPolicy.decide`` every second with an ``Observation``. A restart helps if the process has ended, or if the
driver has seen a login and the port refuses or stays silent for ``restart_after``. ``_veto`` and ``_hold`` forbid some
restarts. The first step is the mildest: ``RECONNECTDATA``, ``RECONNECTACCOUNT``, ``RESTART``, a restart of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum

from ibkr.core.events import Now
from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import (
    CONFIGURATION_CODES,
    ENDED_IN_ORDER,
    SECOND_FACTOR_TIMED_OUT,
    GatewayState,
    exit_words,
    next_forced_login,
)
from ibkr.core.maintenance_calendar import Calendar

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_LONGEST_WAIT = 6 * 3600.0


class PortState(StrEnum):
    """What a connection attempt at the gateway's API port shows."""

    UNKNOWN = "unknown"
    UP = "up"
    """A session is up."""
    UPSTREAM_DOWN = "upstream down"
    """A session is up, and the gateway has lost upstream (1100). The gateway recovers without help."""
    ANSWERS = "answers"
    """No session, but the gateway answers: for example, it refuses our client id."""
    REFUSED = "refuses"
    SILENT = "stays silent"


class Action(StrEnum):
    """What to do with the gateway. The mildest action is first."""

    NOTHING = "nothing"
    RECONNECT_DATA = "RECONNECTDATA"
    RECONNECT_ACCOUNT = "RECONNECTACCOUNT"
    RESTART = "RESTART"
    """A restart by IBC's command server. It needs no login, unless IB's weekly login is due."""
    KILL = "kill"
    """End the process and start it again. This needs a full login."""
    START = "start"
    """Start the process that has ended. This needs a full login."""


_ANSWERING = (PortState.UP, PortState.UPSTREAM_DOWN, PortState.ANSWERS)
RESTARTS = (Action.RESTART, Action.KILL, Action.START)


class Restart(FrozenRecord):
    """One restart by us, as stored on disk. ``full_login``: the restart needed user, password and second factor."""

    at: datetime
    full_login: bool


class Observation(FrozenRecord):
    """What is known of the gateway at one moment. Times are monotonic seconds."""

    state: GatewayState
    link: PortState
    link_since: float
    """When the port entered this state."""
    started: float
    """When the process, or the last restart, began."""
    exit_code: int | None = None
    sees_login: bool = False
    """The driver has seen a login of this gateway."""
    is_logged_in: bool = False
    login_failed: bool = False
    second_factor: bool = False
    """A second factor is pending, or was pending when the process ended."""
    logged_in_at: datetime | None = None
    external_restart_on_exit: bool = False
    """Something else restarts a process that has ended: ibc2, docker, systemd."""
    external_restart_on_hang: bool = False
    """Something else restarts a gateway that hangs: ibc2."""
    has_command_server: bool = False
    """IBC's command server is available."""


class Decision(FrozenRecord):
    """What to do now and why. ``alert``: why a person must act; we do nothing more."""

    act: Action
    reason: str
    alert: str = ""
    trouble: str = ""
    """What is wrong, in words. Empty: nothing."""


class RestartPolicy:
    """Decides about restarts of one gateway.

    Args:
        settings: The limits and delays.
        calendar: The maintenance windows.
        new_york: The time zone of IB's weekly login.
        local: Converts a time to the time zone of the unattended night.
        restarts: Earlier restarts by us, from disk.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        calendar: Calendar,
        new_york: tzinfo,
        local: Callable[[datetime], datetime],
        restarts: Iterable[Restart] = (),
    ) -> None:
        self.settings = settings
        self.restarts: tuple[Restart, ...] = tuple(restarts)
        self._calendar = calendar
        self._new_york = new_york
        self._local = local
        self._night = settings.night_hours
        self._held_at = float("-inf")
        self._tried: set[Action] = set()

    def decide(self, seen: Observation, now: Now) -> Decision:
        """Return what to do about the gateway now. Call this after every change, and every second."""
        trouble = _trouble(seen)
        if not trouble:
            if seen.link in _ANSWERING:
                self._tried.clear()
            return Decision(Action.NOTHING, _no_trouble(seen))
        veto = self._veto(seen, now)
        if veto:
            self._held_at = now.mono
            needs_person = self.settings.auto_restart and _needs_person(seen)
            alert = f"{trouble}; no more restarts: {veto}" if needs_person else ""
            return Decision(Action.NOTHING, f"{trouble}, no restart: {veto}", alert, trouble)
        act, wait = self._next(seen, now)
        if wait:
            return Decision(Action.NOTHING, f"{trouble}, not yet: {wait}", "", trouble)
        if not self.settings.auto_restart:
            return Decision(Action.NOTHING, f"{trouble}, no restart: auto_restart is off", "", trouble)
        if act in RESTARTS:
            wait, alert = self._hold(self.needs_login(act, seen, now), now)
            if wait:
                alert = f"{trouble}; {alert}" if alert else ""
                return Decision(Action.NOTHING, f"{trouble}, no restart: {wait}", alert, trouble)
        return Decision(act, trouble, "", trouble)

    def done(self, act: Action, *, full_login: bool, now: Now) -> None:
        """Store that this action was carried out, by the policy or by a person."""
        self._tried.add(act)
        if act in RESTARTS:
            self._tried |= {Action.RECONNECT_DATA, Action.RECONNECT_ACCOUNT}
            self.restarts = (*self._recent(now.wall), Restart(now.wall, full_login))

    def refused(self, act: Action) -> None:
        """Store that the command server refused this command, so nothing has happened."""
        self._tried.add(act)

    def needs_login(self, act: Action, seen: Observation, now: Now) -> bool:
        """Whether this action needs a full login, and therefore a person with a second factor."""
        if act is not Action.RESTART or seen.logged_in_at is None:
            return True
        return seen.logged_in_at < next_forced_login(now.wall, self._new_york) - _WEEK

    def restarts_today(self, wall: datetime) -> int:
        """How many restarts there were by us in the last 24 hours."""
        return len(self._recent(wall))

    def _recent(self, wall: datetime) -> tuple[Restart, ...]:
        return tuple(restart for restart in self.restarts if restart.at > wall - _DAY)

    def _veto(self, seen: Observation, now: Now) -> str:
        """Return why a restart cannot help or is forbidden now. Empty if a restart is allowed."""
        window, _ = self._calendar.window_at(now.wall)
        vetoes = (
            (seen.second_factor, "a second factor is pending, a restart would ask again"),
            (seen.login_failed, "the last login failed, and IB locks a user after several"),
            (seen.state is GatewayState.UNKNOWN_WINDOW and not seen.is_logged_in, "a window waits for a person"),
            (seen.state is GatewayState.EXITED, _final(seen.exit_code)),
            (seen.state is GatewayState.EXITED and seen.link in _ANSWERING, "a gateway answers at the port"),
            (seen.state is GatewayState.EXITED and seen.external_restart_on_exit, "its own supervisor starts it"),
            (seen.state is not GatewayState.EXITED and seen.external_restart_on_hang, "its own supervisor restarts it"),
            (window is not None, f"{window}"),
        )
        return next((words for holds, words in vetoes if holds and words), "")

    def _next(self, seen: Observation, now: Now) -> tuple[Action, str]:
        """The next step, and why this step is not due yet (empty if it is due)."""
        left = self.settings.start_grace - (now.mono - seen.started)
        if left > 0:
            return Action.NOTHING, f"it started less than {self.settings.start_grace:.0f} s ago"
        if seen.state is GatewayState.EXITED:
            return Action.START, ""
        after = self.settings.restart_after
        steps = [(Action.KILL, after)]
        if seen.has_command_server:
            steps = [
                (Action.RECONNECT_DATA, after / 3),
                (Action.RECONNECT_ACCOUNT, after * 2 / 3),
                (Action.RESTART, after),
            ]
        act, due = next(((act, due) for act, due in steps if act not in self._tried), (Action.KILL, after))
        silent_for = now.mono - max(seen.link_since, self._held_at)
        return act, "" if silent_for >= due else f"{act} after {due:.0f} s"

    def _hold(self, full_login: bool, now: Now) -> tuple[str, str]:
        """Why a restart must wait, and the alert if a person must act. Both are empty if a restart may begin now."""
        recent = self._recent(now.wall)
        if len(recent) >= self.settings.restart_limit:
            words = f"restart_limit ({self.settings.restart_limit} in 24 hours) is reached"
            return words, f"no more restarts: {words}"
        night = self._night_of(now.wall)
        if full_login and night and any(r.full_login and self._night_of(r.at) == night for r in recent):
            words = "a second full login in one unattended night"
            return words, f"no restart before the morning: a restart would be {words}"
        if recent:
            wait = restart_delay(len(recent), self.settings)
            if now.wall - recent[-1].at < timedelta(seconds=wait):
                return f"the last restart is less than {wait:.0f} s ago", ""
        return "", ""

    def _night_of(self, moment: datetime) -> date | None:
        """The date on which this unattended night began. ``None`` if it is not night."""
        begin, end = self._night
        local = self._local(moment)
        if begin <= end:
            return local.date() if begin <= local.time() < end else None
        if local.time() >= begin:
            return local.date()
        return local.date() - _DAY if local.time() < end else None


def restart_delay(restarts: int, settings: GatewaySettings) -> float:
    """Return the least seconds between two restarts. They double with each restart in 24 hours, up to 6 h."""
    return float(min(settings.restart_wait * 2 ** min(restarts - 1, 30), max(_LONGEST_WAIT, settings.restart_wait)))


def restart_refusal(state: GatewayState, orders: int, *, second_factor: bool, with_orders: bool) -> str:
    """Why a manual restart is refused. Empty if it is allowed.

    ``orders``: the number of active orders at the broker while the session is up. ``with_orders``: allow them.
    ``second_factor``: as in ``Observation``.
    """
    if second_factor and state not in (GatewayState.EXITED, GatewayState.STOPPED):
        return "the gateway waits for your second factor: approve it; a restart would ask your phone again"
    if orders and not with_orders:
        number = "1 order works" if orders == 1 else f"{orders} orders work"
        return f"{number} at the broker, and nobody watches them during a restart"
    return ""


def _trouble(seen: Observation) -> str:
    """Return in words what a restart could repair. Empty: nothing."""
    if seen.state is GatewayState.EXITED:
        return f"the process has ended{exit_words(seen.exit_code)}"
    if seen.state is GatewayState.STOPPED or seen.link not in (PortState.REFUSED, PortState.SILENT):
        return ""
    return f"the port {seen.link}" if seen.sees_login else ""


def _no_trouble(seen: Observation) -> str:
    """Why there is nothing to do, in words."""
    if seen.state is GatewayState.STOPPED:
        return "it is stopped"
    if seen.link is PortState.UPSTREAM_DOWN:
        return "the gateway has lost its link to IB (1100) and recovers without help"
    if seen.link in (PortState.REFUSED, PortState.SILENT):
        return f"the port {seen.link}, and this driver does not see the login: restarted only when the process ends"
    return "nothing is wrong"


def _needs_person(seen: Observation) -> bool:
    """Whether the process has ended and needs a person to approve a login, correct a setting, or find the cause."""
    if seen.state is not GatewayState.EXITED or seen.external_restart_on_exit:
        return False
    return seen.second_factor or seen.exit_code in (None, SECOND_FACTOR_TIMED_OUT, *CONFIGURATION_CODES)


def _final(code: int | None) -> str:
    """Why a process that ended with this code is not started again automatically. Empty if it is."""
    if code in ENDED_IN_ORDER:
        return "somebody ended it, without an error"
    if code == SECOND_FACTOR_TIMED_OUT:
        return "nobody approved the second factor; start it when you hold your phone"
    if code in CONFIGURATION_CODES:
        return "a setting is wrong, and the next start would fail as well"
    if code is None:
        return "its exit code is not known, and somebody may have ended it"
    return ""
