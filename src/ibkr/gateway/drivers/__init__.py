"""The drivers by their names in the configuration. Register a new driver here."""

from __future__ import annotations

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.gateway.driver_interface import GatewayDriver
from ibkr.gateway.drivers.custom_command import CommandDriver
from ibkr.gateway.drivers.docker import DockerDriver
from ibkr.gateway.drivers.ibc import IbcDriver
from ibkr.gateway.drivers.ibc2 import Ibc2Driver
from ibkr.gateway.drivers.systemd import SystemdDriver
from ibkr.gateway.gateway_store import GatewayStore

_DRIVERS: dict[str, type[GatewayDriver]] = {
    "ibc2": Ibc2Driver,
    "ibc": IbcDriver,
    "docker": DockerDriver,
    "systemd": SystemdDriver,
    "command": CommandDriver,
}


def make_driver(settings: GatewaySettings, store: GatewayStore) -> GatewayDriver:
    """Return the driver that the configuration names. Raises ``DriverError`` if the driver cannot be used."""
    return _DRIVERS[settings.driver](settings, store)
