"""``Context``: what the checks know about the connection. Each check adds to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from ibkr.config import Config, Section, Setting
from ibkr.core.errors import FailureKind, advice
from ibkr.doctor.api_client import HandshakeReply, Session

DEFAULT_VERSIONS = (157, 178)
"""The range of protocol versions to offer when the client library cannot be loaded."""


@dataclass(slots=True)
class Context:
    """Filled by the checks in their order: a check sets a field when it succeeds.

    ``read_settings`` reads the configuration. ``own_ids`` are client ids that none of the user's programs uses.
    """

    read_settings: Callable[[], Mapping[str, tuple[Setting, ...]]]
    own_ids: Sequence[int]
    symbol: str = "AAPL"
    config: Config | None = None
    versions: tuple[int, int] = DEFAULT_VERSIONS
    """The lowest and highest protocol version that the client library supports."""
    addresses: Sequence[str] = ()
    """The addresses of the host. The first one has the open port."""
    handshake_reply: HandshakeReply | None = None
    session: Session | None = None
    open_connections: AsyncExitStack = field(default_factory=AsyncExitStack)
    """The connections to close at the end."""
    other_ports: list[int] = field(default_factory=list)
    """The other usual ports on which a gateway answers."""
    failed: set[str] = field(default_factory=set)
    """The names of the checks that failed, or were skipped because another check failed."""

    @property
    def ibkr(self) -> Section:
        """The settings in force."""
        assert self.config is not None, "the configuration check runs first"
        return self.config.ibkr

    @property
    def address(self) -> str:
        """The address to connect to."""
        return self.addresses[0]

    @property
    def endpoint(self) -> str:
        """Host and port, written as in the errors."""
        host = self.ibkr.host
        return f"[{host}]:{self.ibkr.port}" if ":" in host else f"{host}:{self.ibkr.port}"

    @property
    def open_session(self) -> Session:
        """The session that the checks share."""
        assert self.session is not None, "the session check runs first"
        return self.session

    def advice_for(self, kind: FailureKind, *, unknown_host: bool = False) -> str:
        """Return the advice of the connection error of this kind."""
        return advice(kind, self.endpoint, self.ibkr.client_id, unknown_host=unknown_host)
