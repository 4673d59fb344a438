"""The driver ``ibc``: IBC, through its start script, its log and its command server."""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import full_exit_code
from ibkr.core.gateway_tracker import GatewayEvent
from ibkr.gateway.child_process_driver import ChildProcessDriver
from ibkr.gateway.driver_interface import DriverError, DriverProblem
from ibkr.gateway.gateway_folder import expand_path
from ibkr.gateway.gateway_store import GatewayStore
from ibkr.gateway.ibc_command_client import send_command
from ibkr.gateway.ibc_log import IbcLogParser
from ibkr.gateway.processes import Command

_COMMAND_TIMEOUT = 10.0
_PORT = re.compile(r"\d{1,5}", re.ASCII)
_ON_WINDOWS = sys.platform == "win32"


class IbcDriver(ChildProcessDriver):
    """Runs ``ibcstart.sh`` or ``StartIBC.bat``. User name and password stay in IBC's own ``config.ini``."""

    sees_login: ClassVar[bool] = True

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        for name in ("tws_path", "ibc_path", "settings_path", "java_path"):
            expand_path(settings, name)  # refuse a wrong path here, before a start
        self._ini = expand_path(settings, "ibc_ini")
        self._parser = self._new_parser()
        super().__init__(settings, store)

    @property
    def has_command_server(self) -> bool:
        return self._command_port > 0

    async def start(self) -> None:
        if not await self.is_running():
            self._parser = self._new_parser()
        await super().start()

    def start_command(self) -> Command:
        return _windows_command(self.settings) if _ON_WINDOWS else _posix_command(self.settings)

    def parse_log_line(self, line: str) -> Iterable[GatewayEvent]:
        return self._parser.parse(line)

    def translate_exit_code(self, code: int | None) -> int | None:
        if code is None:
            code = self._parser.exit_status
        return self._parser.exit_code or (None if code is None else full_exit_code(code))

    async def send(self, command: str) -> str:
        if not self.has_command_server:
            raise DriverError("IBC's command server is off: set CommandServerPort in config.ini")
        host = self._values().get("BindAddress") or "127.0.0.1"
        return await send_command(host, self._command_port, command, min(_COMMAND_TIMEOUT, self.settings.stop_grace))

    async def request_stop(self) -> bool:
        if not self.has_command_server or not await self.is_running():
            return False
        try:
            await self.send("STOP")
        except DriverError:  # the gateway hangs or does not listen yet, so end its process instead
            return False
        return True

    async def problems(self) -> list[DriverProblem]:
        found = [*self._missing_files(), *self._open_secret()]
        if not found and not self.has_command_server:
            port = self._values().get("CommandServerPort", "")
            wrong = f" (CommandServerPort in config.ini is {port})" if port not in ("", "0") else ""
            message = f"IBC's command server is off{wrong}: a restart then always needs a full login"
            found.append(DriverProblem(message, "Set CommandServerPort=7462 in config.ini.", is_fatal=False))
        return found

    @property
    def _command_port(self) -> int:
        text = self._values().get("CommandServerPort", "")
        return self.settings.command_port or (int(text) if _PORT.fullmatch(text) and int(text) < 65536 else 0)

    def _new_parser(self) -> IbcLogParser:
        values = self._values()
        only_unknown = values.get("LogStructureScope", "").lower() == "unknown"
        when_open = values.get("LogStructureWhen", "").lower() in _WHEN_OPEN
        return IbcLogParser(logs_unknown_windows=only_unknown and when_open)

    def _values(self) -> Mapping[str, str]:
        """Return the settings in ``config.ini``, without user name and password."""
        try:
            lines = self._ini.read_text(encoding="latin-1").splitlines()
        except OSError:
            return {}  # ``problems`` and IBC itself report a file that cannot be read
        pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
        return {key.strip(): value.strip() for key, _, value in pairs if not _is_secret(key)}

    def _missing_files(self) -> list[DriverProblem]:
        settings = self.settings
        tws = expand_path(settings, "tws_path")
        wanted = {
            "ibc_path": _script(settings),
            "ibc_ini": self._ini,
            "settings_path": expand_path(settings, "settings_path") if settings.settings_path else tws,
        }
        found = [
            DriverProblem(f"gateway.{key}: {path} does not exist", "Correct the setting, or install what is missing.")
            for key, path in wanted.items()
            if not path.exists()
        ]
        jars = [tws / "ibgateway" / settings.version / "jars", tws / settings.version / "jars"]
        if sys.platform != "darwin" and not any(folder.is_dir() for folder in jars):
            message = f"gateway.version: {tws} has no TWS or IB Gateway {settings.version}"
            cure = "Set a version whose folder contains the folder jars, which the offline installer creates."
            found.append(DriverProblem(message, cure))
        return found

    def _open_secret(self) -> list[DriverProblem]:
        if _ON_WINDOWS or not self._ini.exists() or not self._ini.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            return []
        message = f"{self._ini}, which may hold the password, can be read by other users of this machine"
        return [DriverProblem(message, f"chmod 600 {self._ini}", is_fatal=False)]


_WHEN_OPEN = ("open", "openclose", "activate", "yes", "true", "opened")


def _is_secret(key: str) -> bool:
    return key.strip().lower() in ("ibloginid", "ibpassword", "fixloginid", "fixpassword")


def _script(settings: GatewaySettings) -> Path:
    return expand_path(settings, "ibc_path") / "scripts" / ("StartIBC.bat" if _ON_WINDOWS else "ibcstart.sh")


def _posix_command(settings: GatewaySettings) -> list[str]:
    words = ["bash", str(_script(settings)), settings.version]
    if settings.program == "gateway":
        words.append("--gateway")
    words += [f"--tws-path={expand_path(settings, 'tws_path')}", f"--ibc-path={expand_path(settings, 'ibc_path')}"]
    words += [f"--ibc-ini={expand_path(settings, 'ibc_ini')}", "--on2fatimeout=exit"]  # then a person has to start it
    if settings.settings_path:
        words.append(f"--tws-settings-path={expand_path(settings, 'settings_path')}")
    if settings.mode:
        words.append(f"--mode={settings.mode}")
    if settings.java_path:
        words.append(f"--java-path={expand_path(settings, 'java_path')}")
    return words


def _windows_command(settings: GatewaySettings) -> list[str]:
    words = ["cmd", "/c", str(_script(settings)), settings.version]
    if settings.program == "gateway":
        words.append("/G")
    words += [f"/TwsPath:{expand_path(settings, 'tws_path')}", f"/IbcPath:{expand_path(settings, 'ibc_path')}"]
    words += [f"/Config:{expand_path(settings, 'ibc_ini')}", "/On2FATimeout:exit"]
    if settings.settings_path:
        words.append(f"/TwsSettingsPath:{expand_path(settings, 'settings_path')}")
    if settings.mode:
        words.append(f"/Mode:{settings.mode}")
    if settings.java_path:
        words.append(f"/JavaPath:{expand_path(settings, 'java_path')}")
    return words
