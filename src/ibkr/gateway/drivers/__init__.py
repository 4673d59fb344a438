"""The drivers, by their names in the configuration."""

from __future__ import annotations

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.gateway.driver import Driver
from ibkr.gateway.drivers.command import CommandDriver
from ibkr.gateway.drivers.docker import DockerDriver
from ibkr.gateway.drivers.ibc import IbcDriver
from ibkr.gateway.drivers.ibc2 import Ibc2Driver
from ibkr.gateway.drivers.systemd import SystemdDriver
from ibkr.gateway.store import GatewayStore

_DRIVERS: dict[str, type[Driver]] = {
    "ibc2": Ibc2Driver,
    "ibc": IbcDriver,
    "docker": DockerDriver,
    "systemd": SystemdDriver,
    "command": CommandDriver,
}


def make_driver(settings: GatewaySettings, store: GatewayStore) -> Driver:
    """The driver of the configuration, which must name one. Raises ``DriverError`` if it cannot be used."""
    return _DRIVERS[settings.driver](settings, store)
