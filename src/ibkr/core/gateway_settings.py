"""``GatewaySettings``: how the gateway's process runs and when it is restarted. The table ``[ibkr.gateway]``."""

from __future__ import annotations

import re
from datetime import time

from ibkr.core.errors import ConfigError
from ibkr.core.frozen_record import ValidatedRecord

DRIVERS = ("ibc2", "ibc", "docker", "systemd", "command")
_NEEDED = {
    "ibc2": (),
    "ibc": ("version", "ibc_path", "ibc_ini", "tws_path"),
    "docker": ("container",),
    "systemd": ("unit",),
    "command": ("start",),
}
# The values of ``_WORDS`` become one word of a command line, and must not look like an option.
_WORD = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@_.:\\-]*")
_LARGEST = 366 * 86400
"""A year in seconds."""
_WORDS = ("version", "container", "unit")


class GatewaySettings(ValidatedRecord):
    """The gateway's process. Without a ``driver`` nothing is done. Durations are in seconds.

    There is no setting for a password: IBC, ibc2 and the container store it themselves.

    Raises:
        ConfigError: A value is not valid.
    """

    driver: str = ""
    """What runs the process: ibc2, ibc, docker, systemd or command. Empty: we do not run it."""
    auto_restart: bool = False
    """Restart the gateway when nothing else helps. Off: only watch and report."""
    dry_run: bool = False
    """Log what would be done, and do nothing."""
    restart_after: float = 600.0
    """A restart needs a port that refuses or is silent for this long, outside every maintenance window."""
    restart_limit: int = 3
    """The most restarts in 24 hours."""
    restart_wait: float = 300.0
    """The least time from one restart to the next. It doubles with each restart in 24 hours."""
    start_grace: float = 300.0
    """No restart for this long after a start."""
    restart_with_orders: bool = False
    """Allow a manual restart while the session is up and orders are working."""
    night: str = "20:00-08:00"
    """Hours in which nobody can approve a login, in this computer's time. At most one full login is made then."""
    stop_grace: float = 30.0
    """How long the process may take to end before it is killed."""
    state_dir: str = ""
    """Folder for lock, log and counts. Empty: the user's own."""
    program: str = "gateway"
    """What IBC starts: gateway or tws."""
    version: str = ""
    """The program's major version, as in the name of its folder: 1045."""
    mode: str = ""
    """Trading mode: live or paper. Empty: as in IBC's config.ini."""
    tws_path: str = ""
    """Folder in which TWS or IB Gateway is installed."""
    settings_path: str = ""
    """Folder of the settings of TWS or IB Gateway. Empty: tws_path."""
    ibc_path: str = ""
    """Folder of IBC, with its subfolder scripts."""
    ibc_ini: str = ""
    """IBC's config.ini, with user and password."""
    java_path: str = ""
    """Folder of the java to use. Empty: the one of TWS or IB Gateway."""
    command_port: int = 0
    """Port of IBC's command server on this computer. 0: as in config.ini or ibc2."""
    ibc2: str = "ibc2"
    """The command ibc2."""
    ibc2_home: str = ""
    """The folder of ibc2. Empty: IBC2_HOME, or .ibc2 in the home folder."""
    container: str = ""
    """Name of the container."""
    docker: str = "docker"
    """The command docker, or one with the same arguments, such as podman."""
    unit: str = ""
    """Name of the systemd unit."""
    user_unit: bool = False
    """The unit is one of the user's (systemctl --user)."""
    start: str = ""
    """For the driver command: starts the gateway and runs as long as the gateway does."""
    stop: str = ""
    """Ends the gateway. Empty: end the process that start began."""
    restart: str = ""
    """Restarts the gateway. Empty: stop, then start."""

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
        """Start and end of the unattended night."""
        begin, _, end = self.night.partition("-")
        hours = time.fromisoformat(begin.strip()), time.fromisoformat(end.strip())
        if any(each.tzinfo for each in hours):
            raise ValueError("the hours are in this machine's time")
        return hours

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
    elif not 0 <= value <= _LARGEST:
        raise ConfigError(key, value, f"must be a number, 0 or greater, at most {_LARGEST}")


COMMANDS = ("start", "stop", "restart")
"""Settings that are never shown, because a command line may contain a secret."""
