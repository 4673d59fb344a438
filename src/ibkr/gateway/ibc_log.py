"""What IBC's log lines tell of the login. Lines and codes as in IBC 3.24 (its source, and ``ibcstart.sh``)."""

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

_IBC_LINE = re.compile(r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d):\d{3} IBC: (?P<words>.*)")
_WINDOW = re.compile(r"Window structure for (?:dialog|frame) entitled: (?P<title>.*); event=Opened")
_EXIT_CODE = re.compile(r"Exiting after error with exit code=(?P<code>\d+)")
_NOT_APPROVED = "nobody approved the second factor in time: restart the gateway when you hold your phone"
_ELSEWHERE = "this user is logged in elsewhere, and that goes on"
_ITSELF = "the gateway restarts itself"

# The begin of what IBC says, and the event that it tells of.
_WORDS: tuple[tuple[str, Callable[[datetime], GatewayEvent]], ...] = (
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
# What the script around IBC says.
_SCRIPT = {
    "IBC will restart shortly": RestartStarted(_ITSELF),
    "IBC will cold-restart shortly": RestartStarted("a new login after one that was refused, or as every Sunday"),
}
_LOGIN_ERROR = "Login error message:"


class IbcLog:
    """Reads one gateway's log. ``exit_code``: the last full exit code that IBC told.

    Args:
        tells_unknown_windows: IBC logs the structure of unknown windows alone (``LogStructureScope=unknown``).
    """

    def __init__(self, *, tells_unknown_windows: bool = False) -> None:
        self.exit_code: int | None = None
        self._tells_unknown_windows = tells_unknown_windows
        self._login_error: list[str] | None = None

    def read(self, line: str, at: datetime | None = None) -> Iterator[GatewayEvent]:
        """The events of one line. ``at``: when it was written, if the line's own time is of an unknown zone."""
        line = line.strip()
        match = _IBC_LINE.fullmatch(line)
        if self._login_error is not None:
            if match is None and line:
                self._login_error.append(line)
                return
            words, self._login_error = " ".join(self._login_error), None
            yield LoginFailed(words)
        if match is not None:
            yield from self._read_ibc(match["words"], at or _local_time(match["at"]))
        elif line in _SCRIPT:
            yield from self._restart(_SCRIPT[line])

    def _restart(self, event: RestartStarted) -> Iterator[GatewayEvent]:
        self.exit_code = None
        yield event

    def _read_ibc(self, words: str, at: datetime) -> Iterator[GatewayEvent]:
        code = _EXIT_CODE.fullmatch(words)
        if code is not None:
            self.exit_code = int(code["code"])
        elif words.startswith(_LOGIN_ERROR):
            rest = words.removeprefix(_LOGIN_ERROR).strip()
            self._login_error = [rest] if rest else []
        elif (window := _WINDOW.fullmatch(words)) is not None:
            if self._tells_unknown_windows:
                yield UnknownWindow(window["title"])
        else:
            yield from (make(at) for begin, make in _WORDS if words.startswith(begin))


def latest(events: list[GatewayEvent]) -> list[GatewayEvent]:
    """What of the past still holds: the last login, and what came last. A second factor of the past rings no phone."""
    logins = [event for event in events if isinstance(event, LoggedIn)]
    return [*logins[-1:], *(event for event in events[-1:] if event not in logins)]


def _local_time(text: str) -> datetime:
    """IBC writes the time of its machine."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").astimezone()
