"""When the gateway is restarted: the policy, without a clock, a process or a file.

``RestartPolicy.decide`` is asked again and again with what is seen of the gateway. A restart helps when the process has
ended, or when it is logged in and its port refuses or stays silent for ``restart_after``. Everything that forbids one
is in ``_veto`` and ``_hold``; the first that applies is the reason that is shown. Milder steps come first: the command
server's ``RECONNECTDATA`` and ``RECONNECTACCOUNT``, then its ``RESTART``, then a restart of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum

from ibkr.core.calendar import Calendar
from ibkr.core.facts import Now
from ibkr.core.gateway import (
    CONFIGURATION_CODES,
    ENDED_IN_ORDER,
    SECOND_FACTOR_TIMED_OUT,
    GatewayState,
    exit_words,
    next_forced_login,
)
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.value import Value

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_LONGEST_WAIT = 6 * 3600.0


class Link(StrEnum):
    """What a connection to the gateway's API port shows."""

    UNKNOWN = "unknown"
    UP = "up"
    """A session is up."""
    UPSTREAM_DOWN = "upstream down"
    """A session is up, and the gateway has lost its link to IB (1100): it comes back by itself."""
    ANSWERS = "answers"
    """No session, but the gateway speaks: it refuses our client id, for example."""
    REFUSED = "refuses"
    SILENT = "stays silent"


class Act(StrEnum):
    """What to do with the gateway, the mildest first."""

    NOTHING = "nothing"
    RECONNECT_DATA = "RECONNECTDATA"
    RECONNECT_ACCOUNT = "RECONNECTACCOUNT"
    RESTART = "RESTART"
    """By IBC's command server: no login, unless IB's weekly one is due."""
    KILL = "kill"
    """End the process and start it: a full login."""
    START = "start"
    """Start the process that has ended: a full login."""


_ANSWERING = (Link.UP, Link.UPSTREAM_DOWN, Link.ANSWERS)
RESTARTS = (Act.RESTART, Act.KILL, Act.START)


class Restart(Value):
    """One restart of ours, as it is kept on disk. ``full_login``: it asked for user, password and second factor."""

    at: datetime
    full_login: bool


class Seen(Value):
    """What is seen of the gateway at one moment. Times are monotonic seconds."""

    state: GatewayState
    link: Link
    link_since: float
    """Since when the link is so."""
    started: float
    """When the process, or the last restart, began."""
    exit_code: int | None = None
    sees_login: bool = False
    """The driver has seen a login of this gateway."""
    is_logged_in: bool = False
    login_failed: bool = False
    second_factor: bool = False
    """A second factor is pending, or was when the process ended."""
    logged_in_at: datetime | None = None
    heals_exit: bool = False
    """Something else restarts the process when it has ended: ibc2, docker, systemd."""
    heals_hang: bool = False
    """Something else restarts a gateway that hangs: ibc2."""
    has_commands: bool = False
    """IBC's command server can be asked."""


class Decision(Value):
    """What to do now and why. ``alert``: a person has to act, because nothing more is done."""

    act: Act
    reason: str
    alert: str = ""
    trouble: str = ""
    """What is wrong, in words; empty if nothing is."""


class RestartPolicy:
    """Decides about restarts of one gateway.

    Args:
        settings: the limits and waits.
        calendar: the windows in which trouble is expected.
        new_york: the zone of IB's weekly login.
        local: the zone of the unattended night.
        restarts: earlier restarts of ours, from disk.
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
        self._tried: set[Act] = set()

    def decide(self, seen: Seen, now: Now) -> Decision:
        """What to do about the gateway now. Ask again whenever something changes, and every second."""
        trouble = _trouble(seen)
        if not trouble:
            if seen.link in _ANSWERING:
                self._tried.clear()
            return Decision(Act.NOTHING, _no_trouble(seen))
        veto = self._veto(seen, now)
        if veto:
            self._held_at = now.mono
            alert = (
                f"{trouble}, gave up restarting: {veto}" if self.settings.auto_restart and _needs_person(seen) else ""
            )
            return Decision(Act.NOTHING, f"{trouble}, no restart: {veto}", alert, trouble)
        act, wait = self._next(seen, now)
        if wait:
            return Decision(Act.NOTHING, f"{trouble}, not yet: {wait}", "", trouble)
        if not self.settings.auto_restart:
            return Decision(Act.NOTHING, f"{trouble}, no restart: auto_restart is off", "", trouble)
        if act in RESTARTS:
            wait, alert = self._hold(self.needs_login(act, seen, now), now)
            if wait:
                alert = f"{trouble}, {alert}" if alert else ""
                return Decision(Act.NOTHING, f"{trouble}, no restart: {wait}", alert, trouble)
        return Decision(act, trouble, "", trouble)

    def done(self, act: Act, *, full_login: bool, now: Now) -> None:
        """This was done, by the policy or by a person."""
        self._tried.add(act)
        if act in RESTARTS:
            self._tried |= {Act.RECONNECT_DATA, Act.RECONNECT_ACCOUNT}
            self.restarts = (*self._recent(now.wall), Restart(now.wall, full_login))

    def refused(self, act: Act) -> None:
        """The command server did not take this command: nothing has happened."""
        self._tried.add(act)

    def needs_login(self, act: Act, seen: Seen, now: Now) -> bool:
        """Whether this asks for a full login, and so for a person with a second factor."""
        if act is not Act.RESTART or seen.logged_in_at is None:
            return True
        return seen.logged_in_at < next_forced_login(now.wall, self._new_york) - _WEEK

    def restarts_today(self, wall: datetime) -> int:
        """How many restarts of ours there were in the last 24 hours."""
        return len(self._recent(wall))

    def _recent(self, wall: datetime) -> tuple[Restart, ...]:
        return tuple(restart for restart in self.restarts if restart.at > wall - _DAY)

    def _veto(self, seen: Seen, now: Now) -> str:
        """Why no restart can help or may be tried, whatever the time; empty if nothing speaks against one."""
        window, _ = self._calendar.look(now.wall)
        vetoes = (
            (seen.second_factor, "a second factor is pending, a restart would ask again"),
            (seen.login_failed, "the last login failed, and IB locks a user after several"),
            (seen.state is GatewayState.UNKNOWN_WINDOW and not seen.is_logged_in, "a window waits for a person"),
            (seen.state is GatewayState.EXITED, _final(seen.exit_code)),
            (seen.state is GatewayState.EXITED and seen.link in _ANSWERING, "a gateway answers at the port"),
            (seen.state is GatewayState.EXITED and seen.heals_exit, "its own supervisor starts it"),
            (seen.state is not GatewayState.EXITED and seen.heals_hang, "its own supervisor restarts it"),
            (window is not None, f"{window}"),
        )
        return next((words for holds, words in vetoes if holds and words), "")

    def _next(self, seen: Seen, now: Now) -> tuple[Act, str]:
        """The next step; and why its time has not come, if it has not."""
        left = self.settings.start_grace - (now.mono - seen.started)
        if left > 0:
            return Act.NOTHING, f"it started less than {self.settings.start_grace:.0f} s ago"
        if seen.state is GatewayState.EXITED:
            return Act.START, ""
        after = self.settings.restart_after
        steps = [(Act.KILL, after)]
        if seen.has_commands:
            steps = [(Act.RECONNECT_DATA, after / 3), (Act.RECONNECT_ACCOUNT, after * 2 / 3), (Act.RESTART, after)]
        act, due = next(((act, due) for act, due in steps if act not in self._tried), (Act.KILL, after))
        silent_for = now.mono - max(seen.link_since, self._held_at)
        return act, "" if silent_for >= due else f"{act} after {due:.0f} s"

    def _hold(self, full_login: bool, now: Now) -> tuple[str, str]:
        """Why a restart has to wait, and the alert if a person is needed; both empty if it may be made."""
        recent = self._recent(now.wall)
        if len(recent) >= self.settings.restart_limit:
            words = f"restart_limit ({self.settings.restart_limit} in 24 hours) is reached"
            return words, f"gave up restarting: {words}"
        night = self._night_of(now.wall)
        if full_login and night and any(r.full_login and self._night_of(r.at) == night for r in recent):
            words = "a second full login in one unattended night"
            return words, f"gave up restarting until the morning: it would be {words}"
        if recent:
            wait = wait_after(len(recent), self.settings)
            if now.wall - recent[-1].at < timedelta(seconds=wait):
                return f"the last restart is less than {wait:.0f} s ago", ""
        return "", ""

    def _night_of(self, moment: datetime) -> date | None:
        """The evening of the unattended night that this moment is in; ``None`` by day."""
        begin, end = self._night
        local = self._local(moment)
        if begin <= end:
            return local.date() if begin <= local.time() < end else None
        if local.time() >= begin:
            return local.date()
        return local.date() - _DAY if local.time() < end else None


def wait_after(restarts: int, settings: GatewaySettings) -> float:
    """Seconds from the last restart to the next, after so many in 24 hours: it doubles with each."""
    return float(min(settings.restart_wait * 2 ** min(restarts - 1, 30), max(_LONGEST_WAIT, settings.restart_wait)))


def why_not_now(state: GatewayState, orders: int, *, with_orders: bool) -> str:
    """Why a restart that a person asks for is refused; empty if it is not.

    Args:
        state: of the gateway.
        orders: how many work at the broker while the session is up.
        with_orders: restart nevertheless.
    """
    if state is GatewayState.NEEDS_SECOND_FACTOR:
        return "the gateway waits for your second factor: approve it; a restart would ask your phone again"
    if orders and not with_orders:
        number = "1 order works" if orders == 1 else f"{orders} orders work"
        return f"{number} at the broker, and nobody watches them during a restart"
    return ""


def _trouble(seen: Seen) -> str:
    """What a restart could mend, in words; empty if there is nothing."""
    if seen.state is GatewayState.EXITED:
        return f"the process has ended{exit_words(seen.exit_code)}"
    if seen.state is GatewayState.STOPPED or seen.link not in (Link.REFUSED, Link.SILENT):
        return ""
    return f"the port {seen.link}" if seen.sees_login else ""


def _no_trouble(seen: Seen) -> str:
    """Why there is nothing to do, in words."""
    if seen.state is GatewayState.STOPPED:
        return "it is stopped"
    if seen.link is Link.UPSTREAM_DOWN:
        return "the gateway has lost its link to IB (1100) and heals itself"
    if seen.link in (Link.REFUSED, Link.SILENT):
        return f"the port {seen.link}, and this driver does not see the login: restarted only when the process ends"
    return "nothing is wrong"


def _needs_person(seen: Seen) -> bool:
    """Whether the process has ended, and only a person can start it again: to approve a login, or mend a setting."""
    if seen.state is not GatewayState.EXITED or seen.heals_exit:
        return False
    return seen.second_factor or seen.exit_code == SECOND_FACTOR_TIMED_OUT or seen.exit_code in CONFIGURATION_CODES


def _final(code: int | None) -> str:
    """Why a process that ended with this code is not started again by itself; empty if it may be."""
    if code in ENDED_IN_ORDER:
        return "it was ended in good order"
    if code == SECOND_FACTOR_TIMED_OUT:
        return "nobody approved the second factor; start it when you hold your phone"
    if code in CONFIGURATION_CODES:
        return "a setting is wrong, and the next start would fail as well"
    return ""
