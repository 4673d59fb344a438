"""A status as a person reads it. Never more than the status says."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ibkr.core.accounts import mask_account
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
    if status.alert:
        rows.add_row("Alert", f"[bold red]{escape(status.alert)}[/]")
    if status.maintenance:
        rows.add_row("Expected", f"{escape(str(status.maintenance))}: trouble raises no alert")
    rows.add_row("Trading", _trading(status, plain["may_trade_reason"]))
    rows.add_row("Gateway", _gateway(status))
    if status.server_version is not None:
        rows.add_row("Upstream", _UPSTREAM[status.upstream])
        rows.add_row("Data farms", _farms(status))
        rows.add_row("Accounts", ", ".join(_account(name, show_accounts) for name in status.accounts) or "none told")
    style = state_style(status.state)
    title = f"[{style}]{status.state}[/]"
    return Panel(rows, title=title, title_align="left", box=box.ROUNDED, border_style=style.removeprefix("bold "))


def _trading(status: Status, reason: str) -> str:
    return "[green]orders may be sent[/]" if status.may_trade else f"[yellow]no orders:[/] {escape(reason)}"


def _gateway(status: Status) -> str:
    where = f"{status.endpoint} as client {status.client_id}"
    return where if status.server_version is None else f"{where}, protocol {status.server_version}"


def _farms(status: Status) -> str:
    farms = (_FARMS[state].format(escape(name)) for name, state in sorted(status.farms.items()))
    return ", ".join(farms) or "none told yet"


def _account(name: str, show_accounts: bool) -> str:
    return escape(name if show_accounts else mask_account(name))
