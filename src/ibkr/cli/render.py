"""A status as a person reads it. Never more than the status says."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ibkr.core.accounts import mask_account, mask_accounts
from ibkr.core.gap import GapReport
from ibkr.core.state import ConnectionState, FarmState, UpstreamState
from ibkr.core.status import Status

_STYLES = {
    ConnectionState.READY: "bold green",
    ConnectionState.SYNCING: "cyan",
    ConnectionState.CONNECTING: "cyan",
    ConnectionState.DEGRADED: "bold yellow",
    ConnectionState.RECONNECTING: "bold red",
    ConnectionState.FAILED: "bold red",
    ConnectionState.DISCONNECTED: "dim",
}

_UPSTREAM = {
    UpstreamState.UP: "connected to IB's servers",
    UpstreamState.ASSUMED: "assumed up: the gateway has not said",
    UpstreamState.DOWN: "[bold yellow]the gateway has lost its link to IB's servers[/]",
    UpstreamState.UNKNOWN: "not known",
}

_FARMS = {
    FarmState.OK: "{}",
    FarmState.INACTIVE: "{} (inactive)",
    FarmState.CONNECTING: "{} (connecting)",
    FarmState.BROKEN: "[bold yellow]{} (broken)[/]",
}

_BY_WORST = (FarmState.BROKEN, FarmState.CONNECTING, FarmState.INACTIVE, FarmState.OK)


def state_style(state: ConnectionState) -> str:
    """The style, in rich's words, that the state has everywhere."""
    return _STYLES[state]


def status_panel(status: Status, *, show_accounts: bool = False) -> Panel:
    """All that a person asks first, in a frame that bears the state."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    plain = status.to_dict(show_accounts=show_accounts)
    rows.add_row("Why", escape(plain["reason"]))
    add_alert(rows, status)
    rows.add_row("Trading", trading(status, plain["may_trade_reason"]))
    rows.add_row("Gateway", gateway(status))
    if status.gateway is not None:
        rows.add_row("Process", escape(status.gateway.reason or "the gateway is running"))
    if status.server_version is not None:
        rows.add_row("Upstream", upstream(status))
        rows.add_row("Data farms", farms(status))
        rows.add_row("Accounts", accounts(status, show_accounts))
    style = state_style(status.state)
    title = f"[{style}]{status.state}[/]"
    return Panel(rows, title=title, title_align="left", box=box.ROUNDED, border_style=style.removeprefix("bold "))


def add_alert(rows: Table, status: Status) -> None:
    """What has gone on for too long, and what need not alarm anybody; a row for each that there is."""
    if status.alert:
        rows.add_row("Alert", f"[bold red]{escape(status.alert)}[/]")
    if status.maintenance:
        rows.add_row("Expected", f"{escape(str(status.maintenance))}: trouble raises no alert")


def trading(status: Status, reason: str) -> str:
    """Whether orders may be sent, in rich's markup; ``reason``: why not."""
    return "[green]orders may be sent[/]" if status.may_trade else f"[yellow]no orders:[/] {escape(reason)}"


def gateway(status: Status) -> str:
    """Where, as whom, and which protocol it speaks."""
    where = f"{status.endpoint} as client {status.client_id}"
    return where if status.server_version is None else f"{where}, protocol {status.server_version}"


def upstream(status: Status) -> str:
    """The gateway's own link, in rich's markup."""
    return _UPSTREAM[status.upstream]


def farms(status: Status) -> str:
    """The data farms in rich's markup, those with something to say first."""
    by_worst = sorted(status.farms.items(), key=lambda farm: (_BY_WORST.index(farm[1]), farm[0]))
    return ", ".join(_FARMS[state].format(escape(name)) for name, state in by_worst) or "none told yet"


def accounts(status: Status, show_accounts: bool) -> str:
    """The login's accounts, masked unless ``show_accounts``."""
    names = status.accounts if show_accounts else map(mask_account, status.accounts)
    return escape(", ".join(names)) or "none told"


def masked(words: str, told_of: Status | GapReport, show_accounts: bool) -> str:
    """The words without the account ids of what they tell of, unless ``show_accounts``."""
    return words if show_accounts else mask_accounts(words, told_of.accounts)
