"""The gateway's process in the status: its state, the reason in words, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from ibkr.core.value import Value

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
CONFIGURATION_CODES = range(1102, 1110)
"""Exit codes that say that a setting is wrong: the same start fails again."""
# A shell sees an exit code modulo 256, which makes 76 to 88 of these.
_LOST_BY_SHELL = 1024
_SIGTERM = 15
ENDED_IN_ORDER = (0, 128 + _SIGTERM, -_SIGTERM)
"""Exit codes of a program that somebody has ended: by its menu, by STOP, by SIGTERM."""


class GatewayState(StrEnum):
    """How the gateway's process and its login stand."""

    STOPPED = "stopped"
    """It does not run, and nobody has asked for it; or it was told to stop."""
    STARTING = "starting"
    """The process runs and logs in."""
    NEEDS_SECOND_FACTOR = "needs_second_factor"
    """The login waits for an approval in IBKR Mobile, or for a code."""
    LOGIN_FAILED = "login_failed"
    RUNNING = "running"
    """Logged in; where the driver cannot see the login, the process runs."""
    RESTARTING = "restarting"
    UNKNOWN_WINDOW = "unknown_window"
    """It shows a window that IBC does not handle."""
    EXITED = "exited"
    """The process has ended, and nobody has told it to."""


class GatewayStatus(Value):
    """The gateway's process in the status. Times are aware UTC datetimes.

    ``detail``: why the login failed, the title of the unknown window, why it restarts. ``restarts``: those of ours in
    the last 24 hours. ``next_login``: when IB next asks for a full login with the second factor.
    """

    state: GatewayState
    since: datetime
    driver: str = ""
    detail: str = ""
    exit_code: int | None = None
    next_login: datetime | None = None
    restarts: int = 0
    alert: str = ""
    """Why somebody should look at the gateway now; empty if nobody has to."""
    supervised: bool = False
    """A supervisor of ours runs, which can be asked to restart it."""

    @property
    def reason(self) -> str:
        """Why there may be no session, in words; empty while the process runs and is logged in."""
        reason = _REASONS[self.state]
        if self.state is GatewayState.EXITED:
            return reason + exit_words(self.exit_code)
        return f"{reason}: {self.detail}" if self.detail and self.state in _WITH_DETAIL else reason

    @property
    def advice(self) -> str:
        """What to do about it, in sentences; empty if there is nothing to do."""
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
    """An exit code in brackets, with its meaning where it is one of IBC's; empty for none."""
    if code is None:
        return ""
    meaning = _IBC_CODES.get(code, "")
    return f" (exit code {code}: {meaning})" if meaning else f" (exit code {code})"


def full_exit_code(code: int) -> int:
    """IBC's exit code, of which a shell saw the rest modulo 256; any other code as it is."""
    return code + _LOST_BY_SHELL if code + _LOST_BY_SHELL in _IBC_CODES else code


def clean_text(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Text from the gateway as it may be shown: one line, printable, at most ``longest`` characters."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def next_forced_login(moment: datetime, new_york: tzinfo) -> datetime:
    """When IB next voids the login: each Sunday at 01:00 New York time (ibkrguides.com)."""
    local = moment.astimezone(new_york)
    day = local.date() + timedelta(days=(6 - local.weekday()) % 7)
    found = datetime(day.year, day.month, day.day, 1, tzinfo=new_york)
    return (found if found > local else found + timedelta(days=7)).astimezone(UTC)
