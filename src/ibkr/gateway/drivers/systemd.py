"""A systemd unit, by its name, through ``systemctl`` and ``journalctl``. Does not see the gateway's login."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar

from ibkr.core.gateway import clean_text, full_exit_code
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_tracker import GatewayEvent, ProcessEnded, ProcessStarted
from ibkr.gateway.driver import POLL, Driver, DriverError, Problem
from ibkr.gateway.processes import identity, lines_of, run
from ibkr.gateway.store import GatewayStore

_log = logging.getLogger("ibkr.gateway")

_TAKES = 90.0
_LOOK_EVERY = 10.0
"""While the main process lives; its end is seen at once."""
_LOOK_OFTEN = 0.6
_PROPERTIES = "LoadState,ActiveState,SubState,MainPID,ExecMainCode,ExecMainStatus,Restart"
_KILLED = "2"


@dataclass(frozen=True, slots=True)
class _Unit:
    """What ``systemctl show`` tells. ``code``: the last exit code; for a signal 128 and its number."""

    is_loaded: bool
    active: str
    pid: int
    code: int
    heals: bool

    @property
    def is_running(self) -> bool:
        return self.pid > 0 and self.active in ("active", "activating", "reloading", "deactivating")


class SystemdDriver(Driver):
    """Drives one unit of the system, or of the user."""

    sees_login: ClassVar[bool] = False

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        super().__init__(settings, store)
        self._is_restarting = False
        self._scope = ["--user"] if settings.user_unit else []

    async def start(self) -> None:
        await self._ask("start")

    async def stop(self) -> None:
        await self._ask("stop")

    async def restart(self) -> None:
        self._is_restarting = True
        await self._ask("restart")

    async def is_running(self) -> bool:
        return (await self._show()).is_running

    async def events(self) -> AsyncIterator[GatewayEvent]:
        before: _Unit | None = None
        complaint = ""
        while True:
            try:
                now = await self._show()
            except DriverError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    _log.warning("The unit %s cannot be watched just now: %s", self.settings.unit, error)
                await asyncio.sleep(_LOOK_EVERY)
                continue
            for event in _changes(before, now, is_restarting=self._is_restarting):
                self._is_restarting = self._is_restarting and not isinstance(event, ProcessStarted)
                yield event
            before, complaint = now, ""
            await self._wait(now)

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
        async with aclosing(lines_of([*words, "--no-pager", *(["--follow"] if follow else [])])) as output:
            async for line in output:
                yield line

    async def problems(self) -> list[Problem]:
        if shutil.which("systemctl") is None:
            return [Problem("there is no systemctl on this machine", "Use another driver.")]
        try:
            unit = await self._show()
        except DriverError as error:
            return [Problem(str(error), "Run 'systemctl status' and see what it says.")]
        if not unit.is_loaded:
            message = f"gateway.unit: there is no unit {self.settings.unit}"
            return [Problem(message, "Correct its name; for a unit of the user set gateway.user_unit.")]
        return []

    async def _ask(self, command: str) -> None:
        done = await run(["systemctl", *self._scope, command, self.settings.unit], _TAKES)
        if done.code:
            raise DriverError(f"'systemctl {command}' failed: {clean_text(done.err or done.out)}")

    async def _show(self) -> _Unit:
        done = await run(["systemctl", *self._scope, "show", self.settings.unit, f"--property={_PROPERTIES}"], _TAKES)
        if done.code:
            raise DriverError(f"'systemctl show' failed: {clean_text(done.err or done.out)}")
        values = dict(line.partition("=")[::2] for line in done.out.splitlines())
        unit = _Unit(
            values.get("LoadState") == "loaded",
            values.get("ActiveState", ""),
            _number(values.get("MainPID")),
            _number(values.get("ExecMainStatus")) + (128 if values.get("ExecMainCode") == _KILLED else 0),
            values.get("Restart", "no") != "no",
        )
        self.heals_exit = unit.heals
        return unit

    async def _wait(self, unit: _Unit) -> None:
        """Until it is time to look again: at the end of the main process, or after a while."""
        began = identity(unit.pid) if unit.is_running else ""
        loop = asyncio.get_running_loop()
        due = loop.time() + (_LOOK_EVERY if began else _LOOK_OFTEN)
        while loop.time() < due and (not began or identity(unit.pid) == began):  # noqa: ASYNC110 - its end sets no event
            await asyncio.sleep(POLL)


def _changes(before: _Unit | None, now: _Unit, *, is_restarting: bool) -> list[GatewayEvent]:
    was_running = before is not None and before.is_running
    if now.is_running:
        return [] if was_running and before is not None and before.pid == now.pid else [ProcessStarted(now.pid)]
    if was_running or (before is None and now.active == "failed") or (before and before.active != now.active):
        return [ProcessEnded(full_exit_code(now.code), wanted=now.active == "inactive" and not is_restarting)]
    return []


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
