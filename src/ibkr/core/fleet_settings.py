"""``Fleet``: the NATS servers of a fleet, and how a program joins it. The table ``[ibkr.fleet]``."""

from __future__ import annotations

import re

from ibkr.core.connection_settings import LARGEST_CLIENT_ID
from ibkr.core.errors import ConfigError
from ibkr.core.frozen_record import ValidatedRecord

# The values that match become one token of a NATS subject.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})")
_SHORTEST_LEASE = 1.0
_LONGEST_LEASE = 600.0


class Fleet(ValidatedRecord):
    """How a program joins a fleet; see docs/fleet.md. Without ``servers`` there is no fleet.

    ``Fleet("nats://10.0.0.1:4222", name="mean-reversion")``

    Raises:
        ConfigError: A value is not valid.
    """

    servers: str = ""
    """URLs of the NATS servers, separated by commas: nats://10.0.0.1:4222, or tls:// for TLS. Empty: no fleet."""
    name: str = ""
    """The program's name. Of two programs with the same name, one leads and the other is on standby."""
    gateway: str = ""
    """Name of the gateway, the same on every machine. Empty: its host and port."""
    client_ids: str = "100-199"
    """Client ids that the fleet may use, first and last; the same for all its programs."""
    lease: float = 10.0
    """Seconds after which a leader that no longer runs is replaced; the same for all programs of the fleet."""
    credentials: str = ""
    """File with NATS credentials (.creds) of this program. Empty: none, or those in the URLs."""
    tls_ca: str = ""
    """File with the certificate of the authority that signed the servers' certificates. Empty: the system's."""
    tls_cert: str = ""
    """File with this program's certificate, if the servers require one."""
    tls_key: str = ""
    """File with the key of that certificate."""
    replicas: int = 1
    """On how many NATS servers the fleet's data is stored: 3 with three servers."""

    def check(self) -> None:
        for field, default in self._defaults.items():
            value, key = getattr(self, field), f"ibkr.fleet.{field}"
            if isinstance(default, str) and not (isinstance(value, str) and value.isprintable()):
                raise ConfigError(key, "***" if field == "servers" else value, "must be text in one line")
            if not isinstance(default, str) and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise ConfigError(key, value, "must be a number")
        if self.servers:
            self._check_names()
        if not _SHORTEST_LEASE <= self.lease <= _LONGEST_LEASE:
            cure = f"must be a number of seconds from {_SHORTEST_LEASE:g} to {_LONGEST_LEASE:g}"
            raise ConfigError("ibkr.fleet.lease", self.lease, cure)
        if self.replicas not in (1, 3, 5):
            raise ConfigError("ibkr.fleet.replicas", self.replicas, "must be 1, 3 or 5")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ConfigError("ibkr.fleet.tls_cert", self.tls_cert, "must be set together with tls_key")
        _ = self.client_id_range

    def _check_names(self) -> None:
        if not self.urls or not all(url.startswith(("nats://", "tls://")) for url in self.urls):
            cure = "must be URLs that begin with nats:// or tls://, separated by commas"
            raise ConfigError("ibkr.fleet.servers", "***", cure)  # a URL may contain a password
        check_name(self.name)
        if self.gateway and not _WORD.fullmatch(self.gateway):
            raise ConfigError("ibkr.fleet.gateway", self.gateway, "must be one word of letters, digits, - and _")

    def __repr__(self) -> str:
        return f"Fleet({self.shown_servers!r}, name={self.name!r})"  # the URLs may contain passwords

    @property
    def urls(self) -> list[str]:
        """The URLs of the servers as a list."""
        return [url.strip() for url in self.servers.split(",") if url.strip()]

    @property
    def shown_servers(self) -> str:
        """The servers without user names and passwords."""
        return ", ".join(f"{url.partition('//')[0]}//{url.rpartition('@')[2].rpartition('//')[2]}" for url in self.urls)

    @property
    def client_id_range(self) -> range:
        """The client ids that the fleet may use."""
        match = _RANGE.fullmatch(self.client_ids)
        if match is not None:
            first, last = map(int, match.groups())
            if 1 <= first <= last <= LARGEST_CLIENT_ID:
                return range(first, last + 1)
        raise ConfigError("ibkr.fleet.client_ids", self.client_ids, "must be the first and the last id, like '100-199'")


def check_name(name: str) -> None:
    """Raise ``ConfigError`` if a program cannot have this name. For example, ``*`` means all programs in NATS."""
    if not _WORD.fullmatch(name):
        cure = "must be set, one word of letters, digits, - and _, such as mean-reversion"
        raise ConfigError("ibkr.fleet.name", name, cure)


def gateway_token(fleet: Fleet, host: str, port: int, this_machine: str) -> str:
    """The gateway's name as one token of a NATS subject. Two gateways never have the same token.

    Args:
        fleet: The settings of the fleet.
        host: The gateway's host.
        port: The gateway's port.
        this_machine: The name of this computer, for a gateway with a loopback address.
    """
    if fleet.gateway:
        return fleet.gateway
    is_here = host == "localhost" or host.startswith("127.") or host == "::1"
    return f"{_escaped(this_machine if is_here else host.lower())}/{port}"


def _escaped(host: str) -> str:
    """The host as part of a token: dots become underscores, other forbidden characters become their number."""
    letters = (letter if re.fullmatch(r"[A-Za-z0-9-]", letter) else _ESCAPES.get(letter) for letter in host)
    return "".join(f"={ord(raw):x}=" if letter is None else letter for raw, letter in zip(host, letters, strict=True))


_ESCAPES = {".": "_"}
