"""How the gateway's process is run and when it is restarted: the table ``[ibkr.gateway]``."""

from __future__ import annotations

import math
import re
from datetime import time

from ibkr.core.errors import ConfigError
from ibkr.core.value import CheckedValue

DRIVERS = ("ibc2", "ibc", "docker", "systemd", "command")
_NEEDED = {
    "ibc2": (),
    "ibc": ("version", "ibc_path", "ibc_ini", "tws_path"),
    "docker": ("container",),
    "systemd": ("unit",),
    "command": ("start",),
}
# What goes to a command line as one word must not be taken for an option.
_WORD = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@_.:\\-]*")
_WORDS = ("version", "container", "unit")


class GatewaySettings(CheckedValue):
    """The gateway's process. No ``driver`` changes nothing. Raises ``ConfigError`` for what cannot work.

    Durations are in seconds. There is no setting for a password: IBC, ibc2 and the container have their own place.
    """

    driver: str = ""
    """What runs the process: ibc2, ibc, docker, systemd or command; empty: it is not ours to run."""
    auto_restart: bool = False
    """Restart it when only that helps; off: watch and report."""
    dry_run: bool = False
    """Say in the log what would be done, and do nothing."""
    restart_after: float = 600.0
    """How long the port must refuse or stay silent, outside of every maintenance window, before a restart."""
    restart_limit: int = 3
    """Restarts in 24 hours."""
    restart_wait: float = 300.0
    """From one restart to the next; doubles with each one in 24 hours."""
    start_grace: float = 300.0
    """After a start, no restart for this long."""
    restart_with_orders: bool = False
    """Allow a restart that a person asks for while the session is up and orders work."""
    night: str = "20:00-08:00"
    """Hours in which nobody approves a login, in this machine's time: at most one restart with a full login in them."""
    stop_grace: float = 30.0
    """How long the process may take to end before it is killed."""
    state_dir: str = ""
    """Folder for lock, log and counts; empty: the user's own."""
    program: str = "gateway"
    """What IBC starts: gateway or tws."""
    version: str = ""
    """The program's major version, as IBC names its folder: 1045."""
    mode: str = ""
    """Trading mode, live or paper; empty: as IBC's config.ini says."""
    tws_path: str = ""
    """Folder that TWS or IB Gateway is installed in."""
    settings_path: str = ""
    """Folder of its settings; empty: tws_path."""
    ibc_path: str = ""
    """Folder of IBC, with its folder scripts."""
    ibc_ini: str = ""
    """IBC's config.ini, which has the user and the password."""
    java_path: str = ""
    """Folder of the java to use; empty: the one that TWS or IB Gateway brings along."""
    command_port: int = 0
    """Port of IBC's command server on this machine; 0: as config.ini or ibc2 says."""
    ibc2: str = "ibc2"
    """The command ibc2."""
    ibc2_home: str = ""
    """Its folder; empty: IBC2_HOME, or .ibc2 in the home folder."""
    container: str = ""
    """Name of the container."""
    docker: str = "docker"
    """The command docker, or one that takes the same arguments, such as podman."""
    unit: str = ""
    """Name of the systemd unit."""
    user_unit: bool = False
    """The unit is one of the user's (systemctl --user)."""
    start: str = ""
    """For the driver command: starts the gateway and runs as long as it does."""
    stop: str = ""
    """Ends the gateway; empty: end the process that start began."""
    restart: str = ""
    """Restarts the gateway; empty: stop, then start."""

    def check(self) -> None:
        for name, default in self._defaults.items():
            _check_type(name, getattr(self, name), default)
        self._check_choices()
        for name in _NEEDED.get(self.driver, ()):
            if not getattr(self, name):
                raise ConfigError(f"ibkr.gateway.{name}", "", f"must be set for the driver {self.driver}")
        for name in _WORDS:
            value = getattr(self, name)
            if value and not _WORD.fullmatch(value):
                raise ConfigError(f"ibkr.gateway.{name}", value, "must be one word of letters, digits and _.:@-")
        if not 0 <= self.command_port <= 65535:
            raise ConfigError("ibkr.gateway.command_port", self.command_port, "must be from 0 to 65535")
        try:
            _ = self.night_hours
        except ValueError as error:
            raise ConfigError("ibkr.gateway.night", self.night, "must read like '20:00-08:00'") from error

    @property
    def night_hours(self) -> tuple[time, time]:
        """Begin and end of the unattended night."""
        begin, _, end = self.night.partition("-")
        return time.fromisoformat(begin.strip()), time.fromisoformat(end.strip())

    def _check_choices(self) -> None:
        choices = {"driver": ("", *DRIVERS), "program": ("gateway", "tws"), "mode": ("", "live", "paper")}
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                words = ", ".join(filter(None, allowed))
                raise ConfigError(f"ibkr.gateway.{name}", value, f"must be one of {words}")


def _check_type(name: str, value: object, default: object) -> None:
    key = f"ibkr.gateway.{name}"
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigError(key, value, "must be true or false")
    elif isinstance(default, str):
        if not isinstance(value, str) or not value.isprintable():
            raise ConfigError(key, "***" if name in COMMANDS else value, "must be text in one line")
    elif isinstance(value, bool) or not isinstance(value, int if isinstance(default, int) else (int, float)):
        raise ConfigError(key, value, "must be a whole number" if isinstance(default, int) else "must be a number")
    elif not 0 <= value < math.inf:
        raise ConfigError(key, value, "must be a number, 0 or greater")


COMMANDS = ("start", "stop", "restart")
"""Settings that may hold a secret, if somebody put one on a command line: never shown."""
