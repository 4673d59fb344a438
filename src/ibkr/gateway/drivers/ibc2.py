"""ibc2: a program of others that keeps IBC running. It has its own supervisor; we show what it sees, and ask it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from ibkr.core.gateway import clean_text
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_tracker import (
    GatewayEvent,
    LoggedIn,
    LoginFailed,
    LoginStarted,
    ProcessEnded,
    ProcessStarted,
    RestartStarted,
    SecondFactorWanted,
    UnknownWindow,
)
from ibkr.gateway.driver import POLL, Driver, DriverError, Problem
from ibkr.gateway.log_file import LogFile, last_lines
from ibkr.gateway.processes import Finished, run
from ibkr.gateway.store import GatewayStore

_STOP_TAKES = 60.0
_START_TAKES = 20.0
# It writes its state every second while it runs; 'ibc2 start' itself takes one this old for that of a dead process.
_STALE = timedelta(seconds=120)


_Seen = tuple[str, int | None]
"""Phase and process."""
_OVER = ("stopped", "gone")


class Ibc2Driver(Driver):
    """Drives ``ibc2`` 0.1 by its command line, its state file and its events. The password is in its keyring."""

    sees_login: ClassVar[bool] = True

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        super().__init__(settings, store)
        self.heals_exit = self.heals_hang = True
        home = settings.ibc2_home or os.environ.get("IBC2_HOME") or "~/.ibc2"
        self._home = Path(home).expanduser().absolute()

    @property
    def has_commands(self) -> bool:
        return True

    async def start(self) -> None:
        await self._ask("start", _START_TAKES)

    async def stop(self) -> None:
        await self._ask("stop", _STOP_TAKES)

    async def send(self, command: str) -> str:
        if command != "RESTART":
            raise DriverError(f"ibc2 has no command for {command}")
        return await self._ask("restart", _START_TAKES)

    async def is_running(self) -> bool:
        return self._phase(self._state()) not in ("", "stopped")

    async def events(self) -> AsyncIterator[GatewayEvent]:
        events = LogFile(self._home / "runtime" / "events.jsonl")
        events.skip_to_end()
        before: _Seen = ("", None)
        is_first = True
        is_logged_in = False
        while True:
            # In this order: a new process, what it has told, its end. The state is up to a second behind the events.
            state = self._state()
            now = (self._phase(state), state.get("ibc_pid")) if state else before
            if now[1] is not None and now[1] != before[1] and now[0] not in _OVER:
                yield ProcessStarted(now[1])
            for event in _events_of(events.new_lines()):
                if isinstance(event, LoginStarted) and is_logged_in:
                    yield RestartStarted("the gateway restarts itself")
                else:
                    yield event
                is_logged_in = isinstance(event, LoggedIn)
            for event in _login_of(now[0], state) if is_first and state else _phase_events(before[0], now[0], state):
                yield event
                is_logged_in = isinstance(event, LoggedIn)
            before, is_first = now, is_first and not state
            await asyncio.sleep(POLL)

    async def log(self, lines: int, *, follow: bool) -> AsyncIterator[str]:
        path = self._newest_log()
        if path is not None:
            for line in last_lines(path, lines):
                yield line
        file = None if path is None else LogFile(path)
        if file is not None:
            file.skip_to_end()
        while follow:
            newest = self._newest_log()  # it begins one each day
            if newest is not None and (file is None or newest != file.path):
                file = LogFile(newest)
            for line in file.new_lines() if file is not None else ():
                yield line
            await asyncio.sleep(POLL)

    async def problems(self) -> list[Problem]:
        if shutil.which(self.settings.ibc2) is None:
            message = f"gateway.ibc2: there is no program {self.settings.ibc2}, or it may not be run"
            return [Problem(message, "pip install ibc2, or give its full path.")]
        done = await self._run("doctor", _START_TAKES)
        fails = [line.partition("]")[2].strip() for line in done.out.splitlines() if line.startswith("[FAIL]")]
        return [Problem(f"ibc2 doctor: {clean_text(line)}", "Run 'ibc2 setup'.") for line in fails]

    async def next_login(self) -> datetime | None:
        text = self._state().get("next_weekly_reauth")
        try:
            return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None
        except ValueError:
            return None

    async def _run(self, command: str, seconds: float) -> Finished:
        return await run([self.settings.ibc2, command], seconds, IBC2_HOME=str(self._home))

    async def _ask(self, command: str, seconds: float) -> str:
        done = await self._run(command, seconds)
        words = clean_text(f"{done.out}\n{done.err}".strip().rpartition("\n")[2])
        if done.code or words.startswith("ERROR"):
            raise DriverError(f"'ibc2 {command}' failed: {words or f'exit code {done.code}'}; see 'ibc2 doctor'")
        return words

    def _state(self) -> dict[str, Any]:
        """What its supervisor has written last; empty if that cannot be read just now."""
        try:
            state = json.loads((self._home / "runtime" / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet, or it is being written
            return {}
        return state if isinstance(state, dict) else {}

    def _phase(self, state: dict[str, Any]) -> str:
        """starting, waiting_2fa, running, backoff or stopped; gone if its supervisor has died; empty if unknown."""
        phase = str(state.get("phase", ""))
        try:
            age = datetime.now(UTC) - datetime.fromisoformat(str(state.get("updated")))
        except (ValueError, TypeError):
            return ""
        return "gone" if phase not in ("", "stopped") and age > _STALE else phase

    def _newest_log(self) -> Path | None:
        return max((self._home / "logs").glob("ibc-*.log"), default=None)


def _events_of(lines: Iterable[str]) -> Iterable[GatewayEvent]:
    """The events in its file. ``TWO_FA_IN_PROGRESS`` and those that we do not know say nothing new."""
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue  # half a line of a file that was begun anew
        if isinstance(told, dict) and (event := _event(str(told.get("type")), str(told.get("detail", "")))):
            yield event


def _event(kind: str, detail: str) -> GatewayEvent | None:
    match kind:
        case "LOGIN_STARTED":
            return LoginStarted()
        case "TWO_FA_REQUIRED":
            return SecondFactorWanted()
        case "LOGGED_IN":
            return LoggedIn()
        case "LOGIN_FAILED":
            return LoginFailed(detail)
        case "UNKNOWN_WINDOW":
            return UnknownWindow(detail.partition(":")[0])
    return None


def _phase_events(before: str, now: str, state: dict[str, Any]) -> Iterable[GatewayEvent]:
    """What a new phase tells. Logins come from the events alone: the state is behind them."""
    if now == before:
        return
    if now == "stopped":
        yield ProcessEnded(wanted=True)
    elif now == "gone":
        yield ProcessEnded()
    elif now == "backoff":
        yield RestartStarted(f"ibc2 starts it again after {clean_text(str(state.get('last_event') or 'its end'))}")


def _login_of(phase: str, state: dict[str, Any]) -> Iterable[GatewayEvent]:
    """How it stood when we began to look."""
    if phase in _OVER:
        return
    if phase == "waiting_2fa":
        yield SecondFactorWanted()
    elif phase == "running":
        yield LoggedIn()
    kind, _, detail = str(state.get("last_event", "")).partition(": ")
    if kind in ("LOGIN_FAILED", "UNKNOWN_WINDOW") and (event := _event(kind, detail)):
        yield event
