"""``GatewayStatus``: the gateway's process in the status, with the reason in words and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.serialization import to_printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

_LONGEST_TEXT = 200

SECOND_FACTOR_TIMED_OUT = 1111
LOGIN_DIALOG_MISSING = 1112

# IBC's own exit codes: ErrorCodes.java in IBC 3.24.
_IBC_CODES = {
    1100: "an unexpected error in IBC",
    1101: "IBC did not find a control in a window",
    1102: "IBC got the wrong number of arguments",
    1103: "IBC's config.ini does not exist",
    1104: "the trading mode is not valid",
    1105: "a setting in IBC's config.ini is not valid",
    1106: "the settings folder cannot be created",
    1107: "IBC does not find the program to start",
    1108: "the path of jts.ini is not valid",
    1109: "jts.ini cannot be read or written",
    1110: "IBC is in an unexpected state",
    SECOND_FACTOR_TIMED_OUT: "the second factor was not approved in time",
    LOGIN_DIALOG_MISSING: "the login window never appeared",
}
NOT_STARTED = 127
"""A shell's exit code for a program that cannot be started. We use it if we ended a process and could not start it."""
CONFIGURATION_CODES = range(1102, 1110)
"""Exit codes of a wrong setting: the same start fails again."""
# A shell gets an exit code modulo 256, so it gets 76 to 88 instead of 1100 to 1112.
_LOST_BY_SHELL = 1024
_SIGTERM = 15
ENDED_IN_ORDER = (0, 128 + _SIGTERM, -_SIGTERM)
"""Exit codes of a program that somebody ended: by its menu, by STOP, by SIGTERM."""


class GatewayState(StrEnum):
    """The state of the gateway's process and its login."""

    STOPPED = "stopped"
    """The process does not run: nobody has started it, or somebody stopped it."""
    STARTING = "starting"
    """The process runs and logs in."""
    NEEDS_SECOND_FACTOR = "needs_second_factor"
    """The login waits for an approval in IBKR Mobile, or for a code."""
    LOGIN_FAILED = "login_failed"
    RUNNING = "running"
    """The gateway is logged in. If the driver cannot see logins: the process runs."""
    RESTARTING = "restarting"
    UNKNOWN_WINDOW = "unknown_window"
    """The gateway shows a window that IBC does not handle."""
    EXITED = "exited"
    """The process has ended, and nobody stopped it."""


class GatewayStatus(FrozenRecord):
    """The gateway's process in the status. Times are aware UTC datetimes.

    ``detail``: why the login failed, the title of the unknown window, or why the gateway restarts. ``restarts``:
    our restarts in the last 24 hours. ``next_login``: when IB next requires a complete login with the second factor.
    """

    state: GatewayState
    since: datetime
    driver: str = ""
    detail: str = ""
    exit_code: int | None = None
    next_login: datetime | None = None
    restarts: int = 0
    alert: str = ""
    """Why a person should look at the gateway now. Empty: no need."""
    supervised: bool = False
    """Our supervisor runs, and can restart the gateway when you request it."""

    @property
    def reason(self) -> str:
        """Why there may be no session, in words. Empty while the process runs and is logged in."""
        reason = _REASONS[self.state]
        if self.state is GatewayState.EXITED:
            return reason + exit_words(self.exit_code)
        return f"{reason}: {self.detail}" if self.detail and self.state in _WITH_DETAIL else reason

    @property
    def advice(self) -> str:
        """What a person should do, in sentences. Empty: nothing."""
        return _ADVICE.get(self.state, "")


_REASONS: Mapping[GatewayState, str] = {
    GatewayState.STOPPED: "the gateway is stopped",
    GatewayState.STARTING: "the gateway is starting",
    GatewayState.NEEDS_SECOND_FACTOR: "the gateway waits for your second factor: approve it in IBKR Mobile",
    GatewayState.LOGIN_FAILED: "the gateway's login failed",
    GatewayState.RUNNING: "",
    GatewayState.RESTARTING: "the gateway is restarting",
    GatewayState.UNKNOWN_WINDOW: "the gateway shows a window that it does not handle by itself",
    GatewayState.EXITED: "the gateway's process has ended",
}
_WITH_DETAIL = (GatewayState.LOGIN_FAILED, GatewayState.RESTARTING, GatewayState.UNKNOWN_WINDOW)
_ADVICE: Mapping[GatewayState, str] = {
    GatewayState.STOPPED: "Start it: ibkr gateway start.",
    GatewayState.NEEDS_SECOND_FACTOR: (
        "Approve the login in IBKR Mobile. Do not restart the gateway: each restart asks your phone again."
    ),
    GatewayState.LOGIN_FAILED: (
        "Check user name, password and trading mode before the next attempt: IB locks a user after several failed ones."
    ),
    GatewayState.UNKNOWN_WINDOW: "Look at the gateway's screen and answer the window.",
    GatewayState.EXITED: "Look at its last lines with 'ibkr gateway logs', then start it: ibkr gateway start.",
}


def exit_words(code: int | None) -> str:
    """An exit code in brackets, with its meaning if it is one of IBC's. Empty for ``None``."""
    if code is None:
        return ""
    meaning = "it could not be started" if code == NOT_STARTED else _IBC_CODES.get(code, "")
    return f" (exit code {code}: {meaning})" if meaning else f" (exit code {code})"


def full_exit_code(code: int) -> int:
    """IBC's exit code from the remainder that a shell sees (modulo 256). Other codes are unchanged."""
    return code + _LOST_BY_SHELL if code + _LOST_BY_SHELL in _IBC_CODES else code


def clean_text(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Text from the gateway for display: one line, printable, at most ``longest`` characters."""
    line = " ".join(to_printable(text[: 4 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def next_forced_login(moment: datetime, new_york: tzinfo) -> datetime:
    """When IB next ends the login: each Sunday at 01:00 New York time (ibkrguides.com)."""
    local = moment.astimezone(new_york)
    day = local.date() + timedelta(days=(6 - local.weekday()) % 7)
    found = datetime(day.year, day.month, day.day, 1, tzinfo=new_york)
    return (found if found > local else found + timedelta(days=7)).astimezone(UTC)
