"""What the checks know of the connection that they look at, and hand on to one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from ibkr.config import Config, Given, Section
from ibkr.core.accounts import mask_accounts
from ibkr.core.errors import FailureKind, advice
from ibkr.doctor.api import Greeting, Session
from ibkr.doctor.finding import Finding

USUAL_VERSIONS = (157, 178)
"""The protocol versions to offer when the client library cannot be loaded."""


@dataclass(slots=True)
class Patient:
    """Filled by the checks in their order: each field is set once the check that finds it has ended well.

    ``settings`` reads the configuration, ``own_ids`` are client ids that no program of the user's has.
    """

    settings: Callable[[], Mapping[str, tuple[Given, ...]]]
    own_ids: Sequence[int]
    symbol: str = "AAPL"
    cfg: Config | None = None
    versions: tuple[int, int] = USUAL_VERSIONS
    addresses: Sequence[str] = ()
    """Of the host; the one whose port is open stands first."""
    greeting: Greeting | None = None
    session: Session | None = None
    lines: AsyncExitStack = field(default_factory=AsyncExitStack)
    """What is to be closed at the end."""
    other_ports: list[int] = field(default_factory=list)
    """The usual ports at which a gateway answers."""
    failed: set[str] = field(default_factory=set)
    """The checks that have failed, or were skipped because of one."""

    @property
    def ibkr(self) -> Section:
        """The settings in force."""
        assert self.cfg is not None, "the check of the configuration comes first"
        return self.cfg.ibkr

    @property
    def address(self) -> str:
        """Where to connect."""
        return self.addresses[0]

    @property
    def endpoint(self) -> str:
        """Host and port, as in the errors."""
        host = self.ibkr.host
        return f"[{host}]:{self.ibkr.port}" if ":" in host else f"{host}:{self.ibkr.port}"

    @property
    def open_session(self) -> Session:
        """The session that the checks share."""
        assert self.session is not None, "the check of the session comes first"
        return self.session

    def cure(self, kind: FailureKind) -> str:
        """What the error of this kind advises."""
        return advice(kind, self.endpoint, self.ibkr.client_id)

    def shown(self, finding: Finding) -> Finding:
        """The finding as it may be shown: account ids masked, unless they are to be shown."""
        if self.cfg is not None and self.ibkr.show_accounts:
            return finding
        known = self.session.accounts if self.session else ()
        return replace(
            finding, message=mask_accounts(finding.message, known), advice=mask_accounts(finding.advice, known)
        )
