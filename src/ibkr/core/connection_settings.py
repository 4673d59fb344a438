"""``ConnectionSettings``: where to connect, and as whom."""

from __future__ import annotations

import math

from ibkr.core.errors import ConfigError
from ibkr.core.frozen_record import ValidatedRecord

# In the protocol, the client id is a signed 32-bit number.
LARGEST_CLIENT_ID = 2**31 - 1
_BACKENDS = ("ib_async", "ib_insync")


class ConnectionSettings(ValidatedRecord):
    """The gateway's address and how we log in to it. Raises ``ConfigError`` for a value that cannot be used."""

    host: str = "127.0.0.1"
    """Name or address of the machine on which TWS or IB Gateway runs."""
    port: int = 7497
    """Its API port: TWS 7496 live, 7497 paper; IB Gateway 4001 live, 4002 paper."""
    client_id: int = 1
    """Every connected program needs its own id."""
    timeout: float = 5.0
    """Seconds that the gateway may stay silent in one attempt to connect."""
    account: str = ""
    """The account to use if a login has several. Empty: the login's only account."""
    readonly: bool = False
    """Request no orders at start-up, and send none."""
    backend: str = "ib_async"
    """The client library: ib_async or ib_insync."""
    show_accounts: bool = False
    """Show complete account ids in logs and status; otherwise masked (``DU***67``)."""
    journal: str = ""
    """The SQLite file of the journal. Empty: no journal."""
    journal_sync: str = "normal"
    """``normal``: no record is lost if the process is killed. ``full``: no record is lost after a power cut, either."""
    record: str = ""
    """Folder to record every session in, without account ids, names and references. Empty: none."""

    def check(self) -> None:
        _check_host(self.host)
        if not _is_whole(self.port) or not 1 <= self.port <= 65535:
            raise ConfigError("ibkr.port", self.port, "must be a whole number from 1 to 65535")
        if not _is_whole(self.client_id) or not 0 <= self.client_id <= LARGEST_CLIENT_ID:
            cure = f"must be a whole number from 0 to {LARGEST_CLIENT_ID}"
            raise ConfigError("ibkr.client_id", self.client_id, cure)
        if not _is_number(self.timeout) or not 0 < self.timeout < math.inf:
            raise ConfigError("ibkr.timeout", self.timeout, "must be a number of seconds greater than 0")
        if not isinstance(self.journal, str):
            raise ConfigError("ibkr.journal", self.journal, "must be text, the path of a file, or empty")
        if self.journal_sync not in ("normal", "full"):
            raise ConfigError("ibkr.journal_sync", self.journal_sync, "must be normal or full")
        if not isinstance(self.account, str):
            raise ConfigError("ibkr.account", self.account, "must be text, an account id such as DU1234567, or empty")
        if not isinstance(self.record, str):
            raise ConfigError("ibkr.record", self.record, "must be the name of a folder, or empty")
        for key in ("readonly", "show_accounts"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigError(f"ibkr.{key}", getattr(self, key), "must be true or false")
        _check_backend(self.backend)


def _check_host(host: object) -> None:
    if not isinstance(host, str) or not host or " " in host or not host.isprintable():
        raise ConfigError("ibkr.host", host, "must be a name or an address, such as 127.0.0.1")
    if "/" in host or host.count(":") == 1 or host.startswith("["):
        raise ConfigError(
            "ibkr.host", host, "must be the name or address alone: put the port in ibkr.port, and remove '//' and '['"
        )


def _check_backend(backend: object) -> None:
    if backend not in _BACKENDS:
        raise ConfigError("ibkr.backend", backend, f"must be {' or '.join(map(repr, _BACKENDS))}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
