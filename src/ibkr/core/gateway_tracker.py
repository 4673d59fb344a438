"""How the events of a driver change the state of the gateway's process.

A driver (``ibkr.gateway``) watches the process of TWS or IB Gateway and its login, and reports the events below.
``GatewayTracker`` turns them into the ``GatewayStatus`` that is part of the status.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.gateway_status import GatewayState, GatewayStatus, clean_text


class ProcessStarted(FrozenRecord):
    """The process runs. ``started_at``: when it started, if the driver knows."""

    pid: int | None = None
    started_at: datetime | None = None


class ProcessStarting(FrozenRecord):
    """The gateway's own supervisor starts it. The gateway is not ready yet, and its process may not run yet."""


class ProcessEnded(FrozenRecord):
    """The process has ended. ``code``: its exit code, if known. ``wanted``: somebody stopped it."""

    code: int | None = None
    wanted: bool = False


class LoginStarted(FrozenRecord):
    """A login begins."""


class SecondFactorWanted(FrozenRecord):
    """The login waits for the second factor."""


class LoggedIn(FrozenRecord):
    """The login is complete. ``at``: when it was completed, if this was before now."""

    at: datetime | None = None


class LoginFailed(FrozenRecord):
    """The login was refused. ``why``: the gateway's text."""

    why: str = ""


class UnknownWindow(FrozenRecord):
    """A window opened that IBC does not handle."""

    title: str = ""


class RestartStarted(FrozenRecord):
    """A restart begins. We, the gateway or its supervisor started it. ``why``: the reason in words."""

    why: str = ""


class PastEvents(FrozenRecord):
    """What happened before the driver looked, the oldest event first. Only the state after the last event is shown."""

    events: tuple[GatewayEvent, ...]


GatewayEvent: TypeAlias = (
    ProcessStarted
    | ProcessStarting
    | ProcessEnded
    | LoginStarted
    | SecondFactorWanted
    | LoggedIn
    | LoginFailed
    | UnknownWindow
    | RestartStarted
    | PastEvents
)


class GatewayTracker:
    """Tracks the state of one gateway's process from the events of its driver.

    ``sees_login``: the driver reports logins, so a process that has just started is not yet ``RUNNING``.
    """

    def __init__(self, *, sees_login: bool, now: datetime) -> None:
        self.sees_login = sees_login
        self.state = GatewayState.STOPPED
        self.since = now
        self.detail = ""
        self.exit_code: int | None = None
        self.started_at: datetime | None = None
        """When the process, or the current restart, began."""
        self.logged_in_at: datetime | None = None
        """When the last login was complete. ``None`` if no login was seen."""
        self.login_failed = False
        """The last login was refused, and no login has succeeded after it."""
        self.login_error = ""
        """Why the last login was refused."""
        self.is_logged_in = False
        self.second_factor = False
        """A second factor is pending, or was pending when the process ended."""
        self.login_seen = False
        """At least one login event was seen, so the driver reports logins."""

    def take(self, event: GatewayEvent, now: datetime) -> bool:
        """Handle one event. Returns whether the state, its detail or its alert changed."""
        before = self._shown
        for each in event.events if isinstance(event, PastEvents) else (event,):
            self._take(each, now)
        return before != self._shown

    @property
    def _shown(self) -> tuple[object, ...]:
        return self.state, self.detail, self.exit_code, self.login_error if self.login_failed else None

    def session_up(self, now: datetime) -> bool:
        """An API session is up, so the login is complete. Returns whether the state changed."""
        self.login_failed = self.second_factor = False
        self.is_logged_in = True
        if self.state is GatewayState.RUNNING:
            return False
        self._set(GatewayState.RUNNING, now)
        return True

    def status(
        self,
        *,
        driver: str = "",
        next_login: datetime | None = None,
        restarts: int = 0,
        alert: str = "",
        supervised: bool = False,
    ) -> GatewayStatus:
        """The gateway's part of the status. ``alert``: the alert of the restart policy, if any."""
        if self.state is GatewayState.NEEDS_SECOND_FACTOR:
            alert = f"the gateway waits for your second factor since {self.since:%H:%M} UTC: approve it in IBKR Mobile"
        elif self.login_failed:
            alert = f"the gateway's login failed: {self.login_error}".removesuffix(": ")
        return GatewayStatus(
            self.state,
            self.since,
            driver,
            self.detail,
            self.exit_code,
            next_login,
            restarts,
            alert,
            supervised,
        )

    def _take(self, event: GatewayEvent, now: datetime) -> None:
        match event:
            case ProcessStarted():
                self._started(event.started_at or now, now, is_ready=not self.sees_login)
            case ProcessStarting():
                self._started(now, now, is_ready=False)
            case ProcessEnded():
                self._ended(event, now)
            case RestartStarted(why):
                self._restart(why, now)
            case _:
                self._take_login(event, now)

    def _take_login(self, event: GatewayEvent, now: datetime) -> None:
        self.login_seen = True
        match event:
            case SecondFactorWanted():  # user and password were accepted
                self.login_failed = False
                self.second_factor = True
                self._set(GatewayState.NEEDS_SECOND_FACTOR, now)
            case LoggedIn(at):
                self.is_logged_in = True
                self.login_failed = self.second_factor = False
                self.logged_in_at = at or now
                self._set(GatewayState.RUNNING, now)
            case LoginFailed(why):
                self.is_logged_in = self.second_factor = False
                self.login_failed, self.login_error = True, clean_text(why)
                self._set(GatewayState.LOGIN_FAILED, now, why)
            case UnknownWindow(title):
                self._set(GatewayState.UNKNOWN_WINDOW, now, title)
            case _:  # a login begins; a refused login stays visible until a login succeeds
                if self.state is not GatewayState.LOGIN_FAILED and not self.is_logged_in:
                    self._set(GatewayState.STARTING, now)

    def _started(self, started_at: datetime, now: datetime, *, is_ready: bool) -> None:
        self.started_at = started_at
        self.is_logged_in = self.second_factor = False
        if self.state is GatewayState.LOGIN_FAILED:
            return
        self._set(GatewayState.RUNNING if is_ready else GatewayState.STARTING, now)

    def _ended(self, event: ProcessEnded, now: datetime) -> None:
        self.is_logged_in = False
        if event.wanted:
            self._set(GatewayState.STOPPED, now)
        else:
            self._set(GatewayState.EXITED, now, self.login_error if self.login_failed else "", event.code)

    def _restart(self, why: str, now: datetime) -> None:
        self.started_at = now
        self.is_logged_in = False
        self._set(GatewayState.RESTARTING, now, why)

    def _set(self, state: GatewayState, now: datetime, detail: str = "", exit_code: int | None = None) -> None:
        if state is not self.state:
            self.since = now
        self.state, self.detail, self.exit_code = state, clean_text(detail), exit_code
