"""The driver ``command``: any commands of your own.

``start`` runs as long as the gateway does. ``stop`` and ``restart`` end when they are done.
"""

from __future__ import annotations

import re
import shutil
import sys
from typing import ClassVar

from ibkr.core.errors import ConfigError
from ibkr.core.gateway_settings import COMMANDS, GatewaySettings
from ibkr.gateway.child_process_driver import ChildProcessDriver
from ibkr.gateway.driver_interface import DriverError, DriverProblem
from ibkr.gateway.gateway_store import GatewayStore
from ibkr.gateway.processes import Command, program_name, run_command, split_command

_SECRET = re.compile(r"(?i)(pass(word)?|pw|secret|token)\b\s*[= ]")


class CommandDriver(ChildProcessDriver):
    """Starts and ends the gateway with commands of the configuration. Does not see its login."""

    sees_login: ClassVar[bool] = False

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        for name in COMMANDS:
            try:
                is_blank = bool(getattr(settings, name)) and not split_command(getattr(settings, name))
            except ValueError as error:
                raise ConfigError(f"ibkr.gateway.{name}", "***", f"{error}; close every quotation mark") from error
            if is_blank:
                raise ConfigError(f"ibkr.gateway.{name}", "***", "is blank; give a command")
        super().__init__(settings, store)

    def start_command(self) -> Command:
        return split_command(self.settings.start)

    async def request_stop(self) -> bool:
        if self.settings.stop:
            await self._run("stop")
        return bool(self.settings.stop)

    async def restart_process(self) -> None:
        if not self.settings.restart:
            await super().restart_process()
            return
        await self._run("restart")
        if not await self.is_running():
            raise DriverError(
                "gateway.restart ended the process that gateway.start began, so the new process cannot be watched."
                " Leave gateway.restart empty, or change it so that it does not end that process"
            )

    async def problems(self) -> list[DriverProblem]:
        found = []
        for name in COMMANDS:
            text = getattr(self.settings, name)
            if not text:
                continue
            if sys.platform != "win32" and shutil.which(split_command(text)[0]) is None:
                message = (
                    f"gateway.{name}: there is no program {program_name(split_command(text))}, or it may not be run"
                )
                found.append(DriverProblem(message, "Give its full path."))
            if _SECRET.search(text):
                message = f"gateway.{name} seems to have a password on its command line: every user can read it there"
                found.append(DriverProblem(message, "Put it into a file that only you can read.", is_fatal=False))
        return found

    async def _run(self, name: str) -> None:
        done = await run_command(split_command(getattr(self.settings, name)), 4 * self.settings.stop_grace)
        if done.code:
            raise DriverError(f"gateway.{name} ended with exit code {done.code}")
