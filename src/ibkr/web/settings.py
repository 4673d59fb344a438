"""Where the site listens, who may see it, and how much of it one visitor may take."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field

from ibkr.core.errors import ConfigError

_SHORTEST_TOKEN = 16


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Raises ``ConfigError`` for what cannot work or would be open to all.

    ``token``: needed beyond loopback; then every request but for the page's own files and ``/healthz`` must bear it.
    ``names``: host names, besides IP addresses and this machine's own name, by which the site is called. Durations
    are in seconds, sizes in bytes.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = field(default="", repr=False)
    names: tuple[str, ...] = ()
    show_accounts: bool = False
    connections: int = 256
    """Open connections; more are closed at once."""
    readers: int = 128
    """Of them, those of ``/api/events``."""
    head_limit: int = 16 * 1024
    """The request line with all headers."""
    body_limit: int = 4 * 1024
    request_time: float = 10.0
    """For a request to arrive, and for what was sent to be taken."""
    stats_every: float = 2.0
    again_after: float = 60.0
    """After it was given up, a connection that the site holds is begun again."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError("serve.port", self.port, "must be from 0 to 65535")
        if self.token and len(self.token) < _SHORTEST_TOKEN:
            # Not the value: it is a secret, if a bad one.
            raise ConfigError("serve.token", "***", f"must have at least {_SHORTEST_TOKEN} characters")
        if self.token and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise ConfigError("serve.token", "***", "must be of printable ASCII characters, without spaces")
        if not self.token and not self.is_loopback:
            raise ConfigError(
                "serve.host",
                self.host,
                "other machines can reach this address: set a token (IBKR_HTTP_TOKEN or --token-file), or listen on"
                " 127.0.0.1",
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the site."""
        address = _address(self.host)
        return self.host == "localhost" if address is None else address.is_loopback

    def is_own_name(self, name: str) -> bool:
        """Whether the site may be called so. A page elsewhere whose name was bound to our address may not."""
        name = name.lower().rstrip(".")
        if name == "localhost" or name in (known.lower() for known in self.names):
            return True
        address = _address(name)
        if address is not None:  # rebinding needs a name; an address cannot be bound to another
            return address.is_loopback or not self.is_loopback
        return not self.is_loopback and name == socket.gethostname().lower()


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None
