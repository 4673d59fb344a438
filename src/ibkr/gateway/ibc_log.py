"""Parses IBC's log lines into login events. IBC 3.24 writes these lines (its source, and ``ibcstart.sh``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime

from ibkr.core.gateway_tracker import (
    GatewayEvent,
    LoggedIn,
    LoginFailed,
    LoginStarted,
    RestartStarted,
    SecondFactorWanted,
    UnknownWindow,
)

_IBC_LINE = re.compile(r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d):\d{3} IBC: (?P<words>.*)", re.ASCII)
_WINDOW = re.compile(r"Window structure for (?:dialog|frame) entitled: (?P<title>.*); event=Opened")
_EXIT_CODE = re.compile(r"Exiting after error with exit code=(?P<code>\d{1,5})", re.ASCII)
_EXIT_STATUS = re.compile(r"IBC returned exit status (?P<code>\d{1,5})", re.ASCII)
_NOT_APPROVED = "nobody approved the second factor in time: restart the gateway when you hold your phone"
_ELSEWHERE = "this user is logged in elsewhere, and the other session continues"
_ITSELF = "the gateway restarts itself"

# The beginnings of IBC's lines, each with the event that the line reports.
_LINE_EVENTS: tuple[tuple[str, Callable[[datetime], GatewayEvent]], ...] = (
    ("Starting session", lambda at: LoginStarted()),
    ("Re-starting session", lambda at: LoginStarted()),
    ("Second Factor Authentication initiated", lambda at: SecondFactorWanted()),
    ("Re-login after second factor authentication timeout in", lambda at: SecondFactorWanted()),
    ("Re-login after second factor authentication timeout not required", lambda at: LoginFailed(_NOT_APPROVED)),
    ("Login has completed", LoggedIn),
    ("Login failed", lambda at: LoginFailed("the gateway refused user, password or trading mode")),
    (
        "End this session and let the other",
        lambda at: LoginFailed(_ELSEWHERE),
    ),
    ("Other session must be primary", lambda at: LoginFailed(_ELSEWHERE)),
    ("Other session may be primary", lambda at: LoginFailed(_ELSEWHERE)),
    ("Re-login to session", lambda at: LoginStarted()),
    ("RestartTask: verb = RESTART", lambda at: RestartStarted("RESTART of IBC's command server")),
)
# Lines of the script that starts IBC.
_SCRIPT_LINES = {
    "IBC will restart shortly": RestartStarted(_ITSELF),
    "IBC will cold-restart shortly": RestartStarted("a new login after a refused one, or the weekly one on Sunday"),
}
_LOGIN_ERROR = "Login error message:"


class IbcLogParser:
    """Parses one gateway's log.

    ``exit_code`` is the last full exit code, as IBC reported it. ``exit_status`` is the last exit code modulo 256, as
    reported by the script that starts IBC.

    Args:
        logs_unknown_windows: Whether IBC logs the structure of unknown windows only (``LogStructureScope=unknown``).
    """

    def __init__(self, *, logs_unknown_windows: bool = False) -> None:
        self.exit_code: int | None = None
        self.exit_status: int | None = None
        self._logs_unknown_windows = logs_unknown_windows
        self._login_error: list[str] | None = None

    def parse(self, line: str, at: datetime | None = None) -> Iterator[GatewayEvent]:
        """Yield the events of one line. Pass ``at`` if the time zone of the line's own time is not known."""
        line = line.strip()
        match = _IBC_LINE.fullmatch(line)
        if match is not None:
            at = at or _local_time(match["at"])
        if self._login_error is not None:
            if match is None and line:
                self._login_error.append(line)
                return
            words, self._login_error = " ".join(self._login_error), None
            yield LoginFailed(words)
        if match is not None and at is not None:
            yield from self._parse_ibc_line(match["words"], at)
        elif line in _SCRIPT_LINES:
            self.exit_code = self.exit_status = None
            yield _SCRIPT_LINES[line]
        elif (status := _EXIT_STATUS.fullmatch(line)) is not None:
            self.exit_status = int(status["code"])

    def _parse_ibc_line(self, words: str, at: datetime) -> Iterator[GatewayEvent]:
        code = _EXIT_CODE.fullmatch(words)
        if code is not None:
            self.exit_code = int(code["code"])
        elif words.startswith(_LOGIN_ERROR):
            rest = words.removeprefix(_LOGIN_ERROR).strip()
            self._login_error = [rest] if rest else []
        elif (window := _WINDOW.fullmatch(words)) is not None:
            if self._logs_unknown_windows:
                yield UnknownWindow(window["title"])
        else:
            yield from (make(at) for begin, make in _LINE_EVENTS if words.startswith(begin))


def _local_time(text: str) -> datetime | None:
    """Parse a time in IBC's log, which is in the time zone of this computer; ``None`` if there is no such time."""
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").astimezone()
    except (ValueError, OverflowError, OSError):
        return None
