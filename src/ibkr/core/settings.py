"""Where to connect, and as whom, in one frozen value."""

from __future__ import annotations

import math

from ibkr.core.errors import ConfigError
from ibkr.core.value import CheckedValue

# The protocol carries the client id as a signed 32-bit number.
_LARGEST_CLIENT_ID = 2**31 - 1
_BACKENDS = ("ib_async", "ib_insync")


class Connection(CheckedValue):
    """The gateway's address and how we present ourselves. Raises ``ConfigError`` for what cannot be used."""

    host: str = "127.0.0.1"
    """Name or address of the machine that TWS or IB Gateway runs on."""
    port: int = 7497
    """Its API port: TWS 7496 live, 7497 paper; IB Gateway 4001 live, 4002 paper."""
    client_id: int = 1
    """Each program that is connected needs an id of its own."""
    timeout: float = 5.0
    """Seconds that the gateway may stay silent in one attempt to connect."""
    account: str = ""
    """The account to follow, where a login has several; empty for its only one."""
    readonly: bool = False
    """Ask for no orders at start-up, and send none."""
    backend: str = "ib_async"
    """The client library: ib_async, or ib_insync."""
    show_accounts: bool = False
    """Show account ids in full in logs and status; masked (``DU***67``) when off."""

    def check(self) -> None:
        _check_host(self.host)
        if not _is_whole(self.port) or not 1 <= self.port <= 65535:
            raise ConfigError("ibkr.port", self.port, "must be a whole number from 1 to 65535")
        if not _is_whole(self.client_id) or not 0 <= self.client_id <= _LARGEST_CLIENT_ID:
            raise ConfigError("ibkr.client_id", self.client_id, "must be a whole number, 0 or greater")
        if not _is_number(self.timeout) or not 0 < self.timeout < math.inf:
            raise ConfigError("ibkr.timeout", self.timeout, "must be a number of seconds greater than 0")
        if not isinstance(self.account, str):
            raise ConfigError("ibkr.account", self.account, "must be text, an account id such as DU1234567, or empty")
        for key in ("readonly", "show_accounts"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigError(f"ibkr.{key}", getattr(self, key), "must be true or false")
        _check_backend(self.backend)


def _check_host(host: object) -> None:
    if not isinstance(host, str) or not host or " " in host or not host.isprintable():
        raise ConfigError("ibkr.host", host, "must be a name or an address, such as 127.0.0.1")
    if "/" in host or host.count(":") == 1 or host.startswith("["):
        raise ConfigError(
            "ibkr.host", host, "must be the name or address alone: the port goes to ibkr.port, '//' and '[' go away"
        )


def _check_backend(backend: object) -> None:
    if backend not in _BACKENDS:
        raise ConfigError("ibkr.backend", backend, f"must be {' or '.join(map(repr, _BACKENDS))}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
