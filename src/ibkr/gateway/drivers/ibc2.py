"""The driver ``ibc2``: a program whose own supervisor keeps IBC running. The driver reads its state and calls it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from ibkr.core.errors import NO_WORKING_FOLDER, ConfigError
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import clean_text
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
from ibkr.gateway.driver_interface import POLL_INTERVAL, DriverError, DriverProblem, GatewayDriver
from ibkr.gateway.gateway_folder import expand_path
from ibkr.gateway.gateway_store import GatewayStore
from ibkr.gateway.log_tail import LogTail, last_lines
from ibkr.gateway.processes import CommandResult, run_command

_STOP_TIMEOUT = 60.0
_START_TIMEOUT = 20.0
# ibc2 writes its state every second. If the state is this old, 'ibc2 start' itself treats the process as dead.
_STATE_MAX_AGE = timedelta(seconds=120)


_PhaseAndPid = tuple[str, int | None]
"""The phase and the process id of ibc2's state."""
_ENDED_PHASES = ("stopped", "gone")


class Ibc2Driver(GatewayDriver):
    """Drives ``ibc2`` 0.1 through its command line, state file and event file. The password is in ibc2's keyring."""

    sees_login: ClassVar[bool] = True

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        super().__init__(settings, store)
        self.external_restart_on_exit = self.external_restart_on_hang = True
        self._home = expand_path(settings, "ibc2_home") if settings.ibc2_home else _default_home()

    @property
    def has_command_server(self) -> bool:
        return True

    async def start(self) -> None:
        await self._run_checked("start", _START_TIMEOUT)

    async def stop(self) -> None:
        await self._run_checked("stop", _STOP_TIMEOUT)

    async def send(self, command: str) -> str:
        if command != "RESTART":
            raise DriverError(f"ibc2 has no command for {command}")
        return await self._run_checked("restart", _START_TIMEOUT)

    async def is_running(self) -> bool:
        return self._phase(self._state()) not in ("", "stopped")

    async def events(self) -> AsyncIterator[GatewayEvent]:
        events = LogTail(self._home / "runtime" / "events.jsonl")
        events.skip_to_end()
        before: _PhaseAndPid = ("", None)
        is_first = True
        is_logged_in = False
        while True:
            # Report in this order: a new process, its events, its end. The events can be a second newer than the state.
            state = self._state()
            now = (self._phase(state), state.get("ibc_pid")) if state else before
            if now[1] is not None and now[1] != before[1] and now[0] not in _ENDED_PHASES:
                yield ProcessStarted(now[1])
            for event in _parse_events(events.new_lines()):
                if isinstance(event, LoginStarted) and is_logged_in:
                    yield RestartStarted("the gateway restarts itself")
                else:
                    yield event
                is_logged_in = isinstance(event, LoggedIn)
            for event in (
                _initial_login(now[0], state) if is_first and state else _phase_events(before[0], now[0], state)
            ):
                yield event
                is_logged_in = isinstance(event, LoggedIn)
            before, is_first = now, is_first and not state
            await asyncio.sleep(POLL_INTERVAL)

    async def log(self, lines: int, *, follow: bool) -> AsyncIterator[str]:
        path = self._newest_log()
        if path is not None:
            for line in last_lines(path, lines):
                yield line
        file = None if path is None else LogTail(path)
        if file is not None:
            file.skip_to_end()
        while follow:
            newest = self._newest_log()  # ibc2 begins a new log each day
            if newest is not None and (file is None or newest != file.path):
                file = LogTail(newest)
            for line in file.new_lines() if file is not None else ():
                yield line
            await asyncio.sleep(POLL_INTERVAL)

    async def problems(self) -> list[DriverProblem]:
        if shutil.which(self.settings.ibc2) is None:
            message = f"gateway.ibc2: there is no program {self.settings.ibc2}, or it may not be run"
            return [DriverProblem(message, "pip install ibc2, or give its full path.")]
        done = await self._run("doctor", _START_TIMEOUT)
        fails = [line.partition("]")[2].strip() for line in done.out.splitlines() if line.startswith("[FAIL]")]
        return [DriverProblem(f"ibc2 doctor: {clean_text(line)}", "Run 'ibc2 setup'.") for line in fails]

    async def next_login(self) -> datetime | None:
        text = self._state().get("next_weekly_reauth")
        try:
            return datetime.fromisoformat(text).astimezone(UTC) if isinstance(text, str) else None
        except (ValueError, OverflowError):
            return None

    async def _run(self, command: str, seconds: float) -> CommandResult:
        return await run_command([self.settings.ibc2, command], seconds, IBC2_HOME=str(self._home))

    async def _run_checked(self, command: str, seconds: float) -> str:
        done = await self._run(command, seconds)
        words = clean_text(f"{done.out}\n{done.err}".strip().rpartition("\n")[2])
        if done.code or words.startswith("ERROR"):
            raise DriverError(f"'ibc2 {command}' failed: {words or f'exit code {done.code}'}; see 'ibc2 doctor'")
        return words

    def _state(self) -> dict[str, Any]:
        """Return the state that ibc2 wrote last; empty if it cannot be read at the moment."""
        try:
            state = json.loads((self._home / "runtime" / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):  # ibc2 has not written the state yet, or is writing it now
            return {}
        return state if isinstance(state, dict) else {}

    def _phase(self, state: dict[str, Any]) -> str:
        """Return starting, waiting_2fa, running, backoff or stopped; gone if ibc2 has died; empty if unknown."""
        phase = str(state.get("phase", ""))
        try:
            age = datetime.now(UTC) - datetime.fromisoformat(str(state.get("updated")))
        except (ValueError, TypeError, OverflowError):
            return ""
        return "gone" if phase not in ("", "stopped") and age > _STATE_MAX_AGE else phase

    def _newest_log(self) -> Path | None:
        return max((self._home / "logs").glob("ibc-*.log"), default=None)


def _parse_events(lines: Iterable[str]) -> Iterable[GatewayEvent]:
    """Yield the events of ibc2's file. ``TWO_FA_IN_PROGRESS`` and unknown events are skipped."""
    for line in lines:
        try:
            event_data = json.loads(line)
        except (ValueError, RecursionError):
            continue  # an incomplete line: the file was replaced by a new file
        if isinstance(event_data, dict) and (
            event := _parse_event(str(event_data.get("type")), str(event_data.get("detail", "")))
        ):
            yield event


def _parse_event(kind: str, detail: str) -> GatewayEvent | None:
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
    """Yield what a new phase means. Only the event file reports logins, because the state can be older."""
    if now == before:
        return
    if now == "stopped":
        yield ProcessEnded(wanted=True)
    elif now == "gone":
        yield ProcessEnded()
    elif now == "backoff":
        yield RestartStarted(f"ibc2 starts it again after {clean_text(str(state.get('last_event') or 'its end'))}")


def _initial_login(phase: str, state: dict[str, Any]) -> Iterable[GatewayEvent]:
    """Yield the events that explain the first state: first those of the login, then those of the phase."""
    if phase == "stopped":
        return
    if phase == "waiting_2fa":
        yield SecondFactorWanted()
    elif phase == "running":
        yield LoggedIn()
    kind, _, detail = str(state.get("last_event", "")).partition(": ")
    if kind in ("LOGIN_FAILED", "UNKNOWN_WINDOW") and (event := _parse_event(kind, detail)):
        yield event
    yield from _phase_events("", phase, state)


def _default_home() -> Path:
    """Return the folder that ibc2 uses by default. Raises ``ConfigError`` if it has no absolute path."""
    home = os.path.expanduser(os.environ.get("IBC2_HOME") or "~/.ibc2")
    try:
        return Path(home).absolute()
    except FileNotFoundError as error:
        raise ConfigError("IBC2_HOME", home, NO_WORKING_FOLDER) from error
