"""How the events that a driver sees change the gateway's state.

A driver (``ibkr.gateway``) watches the process of TWS or IB Gateway and its login, and reports what it sees as the
events below. ``GatewayTracker`` makes of them the ``GatewayStatus`` that is part of the one status.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from ibkr.core.gateway import GatewayState, GatewayStatus, clean_text
from ibkr.core.value import Value


class ProcessStarted(Value):
    """The process runs. ``started_at``: when it began to, if the driver knows."""

    pid: int | None = None
    started_at: datetime | None = None


class ProcessEnded(Value):
    """The process has ended. ``code``: its exit code, if known; ``wanted``: somebody told it to."""

    code: int | None = None
    wanted: bool = False


class LoginStarted(Value):
    """A login begins."""


class SecondFactorWanted(Value):
    """The login waits for the second factor."""


class LoggedIn(Value):
    """The login has completed. ``at``: when, if that was not just now."""

    at: datetime | None = None


class LoginFailed(Value):
    """The login was refused; ``why`` in the gateway's words."""

    why: str = ""


class UnknownWindow(Value):
    """A window opened that IBC does not handle."""

    title: str = ""


class RestartStarted(Value):
    """A restart begins: our own, or one that the gateway or its supervisor makes. ``why`` in words."""

    why: str = ""


GatewayEvent: TypeAlias = (
    ProcessStarted
    | ProcessEnded
    | LoginStarted
    | SecondFactorWanted
    | LoggedIn
    | LoginFailed
    | UnknownWindow
    | RestartStarted
)


class GatewayTracker:
    """Follows one gateway's process through the events of its driver.

    ``sees_login``: the driver reports logins, so that a process that has just started is not yet ``RUNNING``.
    """

    def __init__(self, *, sees_login: bool, now: datetime) -> None:
        self.sees_login = sees_login
        self.state = GatewayState.STOPPED
        self.since = now
        self.detail = ""
        self.exit_code: int | None = None
        self.started_at: datetime | None = None
        """When the process, or the restart that is under way, began."""
        self.logged_in_at: datetime | None = None
        """When the last login completed; ``None`` before the first that was seen."""
        self.login_failed = False
        """The last login was refused, and none has completed since."""
        self.is_logged_in = False
        self.second_factor = False
        """A second factor is pending; still true if the process ended while it was."""
        self.login_seen = False
        """At least one event of a login was seen: the driver does see logins."""

    def take(self, event: GatewayEvent, now: datetime) -> bool:
        """Follow one event. Returns whether the state or its detail changed."""
        before = (self.state, self.detail, self.exit_code)
        match event:
            case ProcessStarted():
                self._started(event.started_at or now, now)
            case ProcessEnded():
                self._ended(event, now)
            case RestartStarted(why):
                self._restart(why, now)
            case _:
                self._take_login(event, now)
        return before != (self.state, self.detail, self.exit_code)

    def session_up(self, now: datetime) -> bool:
        """An API session is up, so the login is done, whatever the driver saw. Returns whether the state changed."""
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
        """The gateway's part of the status. ``alert``: that of the restart policy, if it has one."""
        if self.state is GatewayState.NEEDS_SECOND_FACTOR:
            alert = f"the gateway waits for your second factor since {self.since:%H:%M} UTC: approve it in IBKR Mobile"
        elif self.login_failed:
            alert = f"the gateway's login failed: {self.detail}" if self.detail else "the gateway's login failed"
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

    def _take_login(self, event: GatewayEvent, now: datetime) -> None:
        self.login_seen = True
        match event:
            case SecondFactorWanted():  # user and password were taken
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
                self.login_failed = True
                self._set(GatewayState.LOGIN_FAILED, now, why)
            case UnknownWindow(title):
                self._set(GatewayState.UNKNOWN_WINDOW, now, title)
            case _:  # a login begins; one that was refused is still told, until one completes
                if self.state is not GatewayState.LOGIN_FAILED and not self.is_logged_in:
                    self._set(GatewayState.STARTING, now)

    def _started(self, started_at: datetime, now: datetime) -> None:
        self.started_at = started_at
        self.is_logged_in = self.second_factor = False
        if self.login_failed:
            return
        self._set(GatewayState.STARTING if self.sees_login else GatewayState.RUNNING, now)

    def _ended(self, event: ProcessEnded, now: datetime) -> None:
        self.is_logged_in = False
        if event.wanted:
            self._set(GatewayState.STOPPED, now)
        elif self.state is not GatewayState.RESTARTING:
            self._set(GatewayState.EXITED, now, self.detail if self.login_failed else "", event.code)

    def _restart(self, why: str, now: datetime) -> None:
        self.started_at = now
        self.is_logged_in = False
        self._set(GatewayState.RESTARTING, now, why)

    def _set(self, state: GatewayState, now: datetime, detail: str = "", exit_code: int | None = None) -> None:
        if state is not self.state:
            self.since = now
        self.state, self.detail, self.exit_code = state, clean_text(detail), exit_code
