"""The driver ``systemd``: a unit, by its name, through ``systemctl`` and ``journalctl``. Does not see the login."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import clean_text, full_exit_code
from ibkr.core.gateway_tracker import GatewayEvent, ProcessEnded, ProcessStarted
from ibkr.gateway.driver_interface import POLL_INTERVAL, DriverError, DriverProblem, GatewayDriver
from ibkr.gateway.gateway_store import GatewayStore
from ibkr.gateway.processes import process_identity, run_command, stream_lines

_log = logging.getLogger("ibkr.gateway")

_COMMAND_TIMEOUT = 90.0
_POLL_WHILE_RUNNING = 10.0
"""Seconds between two reads while the main process runs. The end of the process is noticed immediately."""
_POLL_WHILE_STOPPED = 0.6
_PROPERTIES = "LoadState,ActiveState,SubState,MainPID,ExecMainCode,ExecMainStatus,Restart"
_KILLED = "2"


@dataclass(frozen=True, slots=True)
class _Unit:
    """The answer of ``systemctl show``. ``code`` is the last exit code; 128 plus the number of a signal."""

    is_loaded: bool
    active: str
    pid: int
    code: int
    has_restart_policy: bool
    will_restart: bool
    """It has ended, and systemd starts it again after a pause."""

    @property
    def is_running(self) -> bool:
        return self.pid > 0 and self.active in ("active", "activating", "reloading", "deactivating")


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
        return (await self._show()).is_running

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
            _parse_int(values.get("MainPID")),
            _parse_int(values.get("ExecMainStatus")) + (128 if values.get("ExecMainCode") == _KILLED else 0),
            values.get("Restart", "no") != "no",
            values.get("SubState", "").startswith("auto-restart"),
        )
        self.external_restart_on_exit = unit.has_restart_policy
        return unit

    async def _wait_for_change(self, unit: _Unit) -> None:
        """Wait until the main process ends, or until it is time for the next check."""
        began = process_identity(unit.pid) if unit.is_running else ""
        loop = asyncio.get_running_loop()
        due = loop.time() + (_POLL_WHILE_RUNNING if began else _POLL_WHILE_STOPPED)
        while loop.time() < due and (not began or process_identity(unit.pid) == began):  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(POLL_INTERVAL)


def _changes(before: _Unit | None, now: _Unit) -> list[GatewayEvent]:
    if now.is_running:
        return [] if before is not None and before.is_running and before.pid == now.pid else [ProcessStarted(now.pid)]
    if now.active == "deactivating" or (now.active == "activating" and not now.will_restart):
        return []  # the next state shows what has happened
    is_known = (
        now.active in ("", "inactive") if before is None else not before.is_running and before.active == now.active
    )
    return [] if is_known else [ProcessEnded(full_exit_code(now.code), wanted=now.active == "inactive")]


def _parse_int(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
