"""``Status``: one frozen value with the state of the connection and its reason. ``status_fields`` computes it."""

from __future__ import annotations

from dataclasses import field, fields
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ibkr.core.account_masking import mask_account
from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.order_records import SentOrder
from ibkr.core.serialization import mask_json, to_jsonable
from ibkr.core.states import ConnectionState, FarmState, SessionState, UpstreamState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ibkr.core.attempt_failure import Failure
    from ibkr.core.gateway_status import GatewayStatus
    from ibkr.core.lease import LeaseStatus
    from ibkr.core.outage import Outage

_NOT_COMPARED = {"as_of": None, "upstream_notices": None}
_NOT_IN_JSON = ("trouble", "codes", "failure", "outage")
"""The JSON object does not have these fields, because ``reason``, ``last_error`` and ``outages`` are enough there."""
_WITH_ACCOUNTS = (
    "reason",
    "may_trade_reason",
    "last_error",
    "unconfirmed",
    "halted",
    "journal_trouble",
    "alert",
    "gateway",
)
"""Fields whose text may contain an account id."""


class MaintenanceWindow(FrozenRecord):
    """A maintenance window: outages are expected from ``start`` to ``end``, aware UTC datetimes."""

    name: str
    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.name} until {self.end:%H:%M} UTC"


class Status(FrozenRecord):
    """The state of the connection. Times are aware UTC datetimes.

    A status is published when a field changes, except ``as_of`` and ``upstream_notices``, which comparison ignores.
    ``as_of`` is when the event loop last ran. ``attempt`` counts the attempts since the last good session; it is 0
    while a session is good.
    """

    state: ConnectionState
    reason: str
    since: datetime
    as_of: datetime
    may_trade: bool
    may_trade_reason: str
    """Why orders are refused. Empty if they are accepted."""
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
    """Orders and changes that the gateway has not confirmed, for example because their session ended before that.

    They may be at the broker. Only an entry whose ``has_left`` is false was certainly never sent.
    """
    halted: str = ""
    """Why new orders are refused: ``halt()``, ``ibkr halt`` or a halt of the fleet. Empty if there is no halt."""
    journal_trouble: str = ""
    """Why the journal cannot be written. Empty if the journal works, or if there is no journal."""
    upstream_notices: int = 0
    """How often the gateway reported its current loss of upstream."""
    maintenance: MaintenanceWindow | None = None
    """The current maintenance window: outages are expected. Always ``None`` while no connection is requested."""
    alert: str = ""
    """Why a person should look: an outage that lasts, or trouble with client id, gateway process or journal.

    The text stays until the problem is over. Empty: no problem.
    """
    trouble: str = ""
    """The reason without the maintenance window. The same text means the same problem."""
    codes: tuple[int, ...] = ()
    """IB's codes behind the reason."""
    failure: Failure | None = None
    """The last failed attempt, until a session is up. ``last_error`` has it in words."""
    outage: Outage | None = None
    """The current outage, or the last one. ``None`` before the first."""
    gateway: GatewayStatus | None = None
    """The gateway's process and its login. ``None`` if nobody watches it."""
    lease: LeaseStatus | None = None
    """This program's role and lease in its fleet. ``None``: no fleet."""

    def to_dict(self, *, show_accounts: bool = False) -> dict[str, Any]:
        """The status as JSON types. Account ids are masked unless ``show_accounts``."""
        data: dict[str, Any] = {
            each.name: to_jsonable(getattr(self, each.name)) for each in fields(self) if each.name not in _NOT_IN_JSON
        }
        if not show_accounts:
            data["accounts"] = [mask_account(account) for account in self.accounts]
            for key in _WITH_ACCOUNTS:
                data[key] = mask_json(data[key], self.accounts)
        return data

    def __getstate__(self) -> dict[str, Any]:
        """For ``copy`` and ``pickle``, which cannot handle a read-only mapping."""
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
