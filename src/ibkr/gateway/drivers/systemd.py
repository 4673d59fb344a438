"""The driver ``systemd``: a unit, by its name, through ``systemctl`` and ``journalctl``. Does not see the login."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import clean_text, exit_words, full_exit_code
from ibkr.core.gateway_tracker import GatewayEvent, ProcessEnded, ProcessStarted, ProcessStarting, RestartStarted
from ibkr.gateway.driver_interface import POLL_INTERVAL, DriverError, DriverProblem, GatewayDriver
from ibkr.gateway.gateway_store import GatewayStore
from ibkr.gateway.processes import process_identity, run_command, stream_lines

_log = logging.getLogger("ibkr.gateway")

_COMMAND_TIMEOUT = 90.0
_POLL_WHILE_RUNNING = 10.0
"""Seconds between two reads while the main process runs. The end of the process is noticed immediately."""
_POLL_WHILE_STOPPED = 0.6
_PROPERTIES = "LoadState,ActiveState,SubState,MainPID,ExecMainCode,ExecMainStatus,Restart"
_BY_SIGNAL = ("2", "3")
"""``ExecMainCode`` of a process that a signal has ended, without and with a core: ``CLD_KILLED``, ``CLD_DUMPED``."""


class _Phase(StrEnum):
    """What the state of a unit means for its gateway."""

    RUNNING = "running"
    STARTING = "starting"
    RESTARTING = "restarting"
    """It has ended, and systemd starts it again, perhaps after a pause."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    ENDED = "ended"
    UNKNOWN = "unknown"


# The values of ActiveState: systemctl(1), "systemctl --state=help".
_PHASES = {
    "active": _Phase.RUNNING,
    "reloading": _Phase.RUNNING,
    "refreshing": _Phase.RUNNING,
    "activating": _Phase.STARTING,
    "deactivating": _Phase.STOPPING,
    "inactive": _Phase.STOPPED,
    "maintenance": _Phase.STOPPED,  # 'systemctl clean' runs; the unit is inactive
    "failed": _Phase.ENDED,
}


@dataclass(frozen=True, slots=True)
class _Unit:
    """The answer of ``systemctl show``. ``code`` is the last exit code, or 128 plus the number of a signal."""

    is_loaded: bool
    active: str
    sub: str
    pid: int
    code: int
    has_restart_policy: bool

    @property
    def phase(self) -> _Phase:
        if "auto-restart" in self.sub:  # auto-restart-queued, and the moment before: failed-before-auto-restart
            return _Phase.RESTARTING
        if self.active == "active" and self.sub == "exited":  # RemainAfterExit=
            return _Phase.ENDED
        return _PHASES.get(self.active, _Phase.RUNNING if self.pid else _Phase.UNKNOWN)


class SystemdDriver(GatewayDriver):
    """Runs one unit of the system or of the user."""

    sees_login: ClassVar[bool] = False

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        super().__init__(settings, store)
        self._is_restarting = False
        self._scope = ["--user"] if settings.user_unit else []

    async def start(self) -> None:
        await self._run_checked("start")

    async def stop(self) -> None:
        await self._run_checked("stop")

    async def restart(self) -> None:
        self._is_restarting = True
        try:
            await self._run_checked("restart")
        finally:
            self._is_restarting = False

    async def is_running(self) -> bool:
        return (await self._show()).phase in (_Phase.RUNNING, _Phase.STARTING)  # both need no start, but a stop

    async def events(self) -> AsyncIterator[GatewayEvent]:
        before: _Unit | None = None
        last_warning = ""
        while True:
            was_restarting = self._is_restarting
            try:
                now = await self._show()
            except DriverError as error:
                if str(error) != last_warning:
                    last_warning = str(error)
                    _log.warning("The unit %s cannot be watched at the moment: %s", self.settings.unit, error)
                await asyncio.sleep(_POLL_WHILE_RUNNING)
                continue
            if was_restarting or self._is_restarting:  # the end of the process during a restart is not an event
                await asyncio.sleep(POLL_INTERVAL)
                continue
            if now.phase is _Phase.UNKNOWN:
                last_warning = self._warn_of(now, last_warning)
            else:
                for event in _changes(before, now):
                    yield event
                before, last_warning = now, ""
            await self._wait_for_change(now)

    async def log(self, lines: int, *, follow: bool) -> AsyncIterator[str]:
        words = [
            "journalctl",
            *self._scope,
            "--unit",
            self.settings.unit,
            "--lines",
            str(lines),
            "--output",
            "short-iso",
        ]
        async with aclosing(stream_lines([*words, "--no-pager", *(["--follow"] if follow else [])])) as output:
            async for line in output:
                yield line

    async def problems(self) -> list[DriverProblem]:
        if shutil.which("systemctl") is None:
            return [DriverProblem("there is no systemctl on this machine", "Use another driver.")]
        try:
            unit = await self._show()
        except DriverError as error:
            return [DriverProblem(str(error), "Run 'systemctl status' and see what it says.")]
        if not unit.is_loaded:
            message = f"gateway.unit: there is no unit {self.settings.unit}"
            return [DriverProblem(message, "Correct its name; for a unit of the user set gateway.user_unit.")]
        return []

    def _warn_of(self, unit: _Unit, last_warning: str) -> str:
        """Log a state of the unit that we do not know, unless the last warning was the same. Returns the warning."""
        state = clean_text(f"{unit.active} ({unit.sub})")
        warning = f"The unit {self.settings.unit} is in a state that we do not know: {state}"
        if warning != last_warning:
            _log.warning("%s", warning)
        return warning

    async def _run_checked(self, command: str) -> None:
        done = await run_command(["systemctl", *self._scope, command, self.settings.unit], _COMMAND_TIMEOUT)
        if done.code:
            raise DriverError(f"'systemctl {command}' failed: {clean_text(done.err or done.out)}")

    async def _show(self) -> _Unit:
        done = await run_command(
            ["systemctl", *self._scope, "show", self.settings.unit, f"--property={_PROPERTIES}"], _COMMAND_TIMEOUT
        )
        if done.code:
            raise DriverError(f"'systemctl show' failed: {clean_text(done.err or done.out)}")
        values = dict(line.partition("=")[::2] for line in done.out.splitlines())
        unit = _Unit(
            values.get("LoadState") == "loaded",
            values.get("ActiveState", ""),
            values.get("SubState", ""),
            _parse_int(values.get("MainPID")),
            _parse_int(values.get("ExecMainStatus")) + (128 if values.get("ExecMainCode") in _BY_SIGNAL else 0),
            values.get("Restart", "no") != "no",
        )
        # systemd does not restart a failed unit: its start limit is reached, or Restart= excludes this kind of end.
        self.external_restart_on_exit = unit.has_restart_policy and unit.phase is not _Phase.ENDED
        return unit

    async def _wait_for_change(self, unit: _Unit) -> None:
        """Wait until the main process ends, or until it is time for the next check."""
        began = process_identity(unit.pid) if unit.pid and unit.phase is _Phase.RUNNING else ""
        loop = asyncio.get_running_loop()
        due = loop.time() + (_POLL_WHILE_RUNNING if began else _POLL_WHILE_STOPPED)
        while loop.time() < due and (not began or process_identity(unit.pid) == began):  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(POLL_INTERVAL)


def _changes(before: _Unit | None, now: _Unit) -> list[GatewayEvent]:
    """Return what a new state of the unit means. ``before``: the state at the last check."""
    if before is not None and (before.phase, before.pid) == (now.phase, now.pid):
        return []
    is_news = before is None or before.phase is not now.phase
    code = full_exit_code(now.code)
    match now.phase:
        case _Phase.RUNNING:
            return [ProcessStarted(now.pid or None)]
        case _Phase.STARTING if is_news:
            return [ProcessStarting()]
        case _Phase.RESTARTING if is_news:
            return [RestartStarted(f"systemd starts it again after its end{exit_words(code)}")]
        case _Phase.ENDED if is_news:
            return [ProcessEnded(code)]
        case _Phase.STOPPED if is_news and before is not None:
            return [ProcessEnded(code, wanted=True)]
    return []  # the unit is stopping; the next state shows the result


def _parse_int(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
