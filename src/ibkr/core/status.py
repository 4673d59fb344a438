"""The status: one frozen value that says how the connection stands and why."""

from __future__ import annotations

from dataclasses import field, fields
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ibkr.core.accounts import mask_account
from ibkr.core.orders import SentOrder
from ibkr.core.plain import masked, plain
from ibkr.core.state import ConnectionState, FarmState, SessionState, UpstreamState
from ibkr.core.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ibkr.core.failure import Failure
    from ibkr.core.gateway import GatewayStatus
    from ibkr.core.outage import Outage
    from ibkr.core.window import Window

_NOT_COMPARED = {"as_of": None, "upstream_notices": None}
_NOT_TOLD = ("trouble", "codes", "failure", "outage")
"""What JSON tells in words, in ``reason``, ``last_error`` and ``outages``."""


class Status(Value):
    """How the connection stands. Times are aware UTC datetimes.

    ``as_of`` is when the event loop last had a say; it and ``upstream_notices`` take no part in comparison: a status
    is published when anything else of it changes. ``attempt`` counts the attempts since the session was last whole;
    0 while it is.
    """

    state: ConnectionState
    reason: str
    since: datetime
    as_of: datetime
    may_trade: bool
    may_trade_reason: str
    """Why orders are refused; empty when they are not."""
    is_connected: bool
    endpoint: str
    client_id: int
    server_version: int | None = None
    accounts: tuple[str, ...] = ()
    read_only: bool = False
    session: SessionState = SessionState.NONE
    upstream: UpstreamState = UpstreamState.UNKNOWN
    farms: Mapping[str, FarmState] = field(default_factory=lambda: MappingProxyType({}))
    attempt: int = 0
    next_retry_at: datetime | None = None
    outages: int = 0
    last_error: str = ""
    unconfirmed: tuple[SentOrder, ...] = ()
    """Orders whose session ended before the gateway had acknowledged them; they may be at the broker."""
    upstream_notices: int = 0
    """How often the gateway has said, the last time, that its link to IB is down."""
    maintenance: Window | None = None
    """The maintenance window that we are in: trouble is expected."""
    alert: str = ""
    """Why somebody should look at a trouble that lasts; raised once in each."""
    trouble: str = ""
    """The reason without the maintenance window that it may be expected in: the same text is the same trouble."""
    codes: tuple[int, ...] = ()
    """IB's codes behind the reason."""
    failure: Failure | None = None
    """The last failed attempt, until a session comes; ``last_error`` says it in words."""
    outage: Outage | None = None
    """The outage under way, or the last one; None before the first."""
    gateway: GatewayStatus | None = None
    """The gateway's process and its login; ``None`` if nobody watches it."""

    def to_dict(self, *, show_accounts: bool = False) -> dict[str, Any]:
        """The status in JSON's types; account ids are masked unless ``show_accounts``."""
        told: dict[str, Any] = {
            each.name: plain(getattr(self, each.name)) for each in fields(self) if each.name not in _NOT_TOLD
        }
        if not show_accounts:
            told["accounts"] = [mask_account(account) for account in self.accounts]
            for key in ("reason", "may_trade_reason", "last_error", "unconfirmed", "alert", "gateway"):
                told[key] = masked(told[key], self.accounts)
        return told

    def __getstate__(self) -> dict[str, Any]:
        """For ``copy`` and ``pickle``: a mapping that cannot be written to cannot be told to another process either."""
        return vars(self) | {"farms": dict(self.farms)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, farms=MappingProxyType(state["farms"]))

    def __eq__(self, other: object) -> bool:
        if type(other) is not Status:
            return NotImplemented
        return {**vars(self), **_NOT_COMPARED} == {**vars(other), **_NOT_COMPARED}

    def __str__(self) -> str:
        trade = "may trade" if self.may_trade else "may not trade"
        return f"{self.state} ({self.reason}); {trade}"
