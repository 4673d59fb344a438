"""``WebSettings``: where the site listens, who may see it, and the limits for each visitor."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, field

from ibkr.core.errors import ConfigError

_MIN_TOKEN_LENGTH = 16
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Settings of the site. Durations are in seconds, sizes in bytes.

    Raises:
        ConfigError: A value cannot work, or everybody could see the site.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = field(default="", repr=False)
    """Required if other computers can reach the site. Then every request needs it, except for the page's own files and
    ``/healthz``."""
    names: tuple[str, ...] = ()
    """Host names that visitors may use for the site, in addition to IP addresses and the name of this computer."""
    proxies: tuple[str, ...] = ()
    """Addresses of trusted proxies on other computers: they may report the visitor's address and scheme."""
    show_accounts: bool = False
    connections: int = 256
    """Open connections. A new connection over the limit replaces an idle connection."""
    readers: int = 128
    """How many of these connections may read ``/api/events``."""
    head_limit: int = 16 * 1024
    """The limit for the request line and all headers together."""
    body_limit: int = 4 * 1024
    request_time: float = 10.0
    """The time in which a request must be complete, and in which a visitor must read its answer."""
    stats_every: float = 2.0
    again_after: float = 60.0
    """A connection that belongs to the site and has ``FAILED`` starts again after this time."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError("serve.port", self.port, "must be from 0 to 65535")
        if self.token and len(self.token) < _MIN_TOKEN_LENGTH:
            # The message does not contain the token, because even a token that is too short is a secret.
            raise ConfigError("serve.token", "***", f"must have at least {_MIN_TOKEN_LENGTH} characters")
        if self.token and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise ConfigError("serve.token", "***", "must be of printable ASCII characters, without spaces")
        for name in self.names:
            if not _HOST_NAME.fullmatch(name) and _parse_address(name) is None:
                cure = "must be a host name as in the URL, without scheme, port or *, like desk.example"
                raise ConfigError("serve.allow_host", name, f"{cure} (letters beyond ASCII: as xn--...)")
        for proxy in self.proxies:
            if _parse_network(proxy) is None:
                raise ConfigError("serve.trust_proxy", proxy, "must be an IP address or a network, like 10.0.0.0/24")
        if not self.token and not self.is_loopback:
            raise ConfigError(
                "serve.host",
                self.host,
                "other machines can reach this address: set a token (IBKR_HTTP_TOKEN or --token-file), or listen on"
                " 127.0.0.1",
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this computer can reach the site."""
        address = _parse_address(self.host)
        return self.host == "localhost" if address is None else address.is_loopback

    def is_own_name(self, name: str) -> bool:
        """Whether this host name or address may be in a request. Prevents DNS rebinding.

        Starlette's ``TrustedHostMiddleware`` accepts a list of names only: it cannot allow every IP address, and it
        splits IPv6 addresses at the colon.
        """
        name = name.lower().rstrip(".")
        if name == "localhost" or name in (known.lower().rstrip(".") for known in self.names):
            return True
        address = _parse_address(name)
        if address is not None:  # DNS rebinding needs a name: an address always leads to the same computer
            return address.is_loopback or not self.is_loopback
        return not self.is_loopback and name == socket.gethostname().lower()


def _parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _parse_address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return None
