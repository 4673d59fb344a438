"""A status as text for people: the panel of ``ibkr status``, and the texts that ``ibkr watch`` shares with it."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from ibkr.core.account_masking import mask_account, mask_accounts
from ibkr.core.gap_report import GapReport
from ibkr.core.states import ConnectionState, FarmState, UpstreamState
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
    UpstreamState.ASSUMED: "assumed up: the gateway has sent no message about it",
    UpstreamState.DOWN: "[bold yellow]the gateway has lost its link to IB's servers[/]",
    UpstreamState.UNKNOWN: "not known",
}

_FARMS = {
    FarmState.OK: "{}",
    FarmState.INACTIVE: "{} (inactive)",
    FarmState.CONNECTING: "{} (connecting)",
    FarmState.BROKEN: "[bold yellow]{} (broken)[/]",
}

_WORST_FIRST = (FarmState.BROKEN, FarmState.CONNECTING, FarmState.INACTIVE, FarmState.OK)


def state_style(state: ConnectionState) -> str:
    """Return the rich style of a state."""
    return _STYLES[state]


def status_panel(status: Status, *, show_accounts: bool = False) -> Panel:
    """Return a panel with the state as its title, and the main facts below."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    shown = status.to_dict(show_accounts=show_accounts)
    rows.add_row("Why", escape(shown["reason"]))
    add_alert_rows(rows, status)
    rows.add_row("Trading", trading_text(status, shown["may_trade_reason"]))
    rows.add_row("Gateway", gateway_text(status))
    if status.gateway is not None:
        rows.add_row("Process", escape(status.gateway.reason or "the gateway is running"))
    if status.server_version is not None:
        rows.add_row("Upstream", upstream_text(status))
        rows.add_row("Data farms", farms_text(status))
        rows.add_row("Accounts", accounts_text(status, show_accounts))
    style = state_style(status.state)
    title = f"[{style}]{status.state}[/]"
    return Panel(rows, title=title, title_align="left", box=box.ROUNDED, border_style=style.removeprefix("bold "))


def add_alert_rows(rows: Table, status: Status) -> None:
    """Add a row for an alert, and one for a maintenance window, if there are any."""
    if status.alert:
        rows.add_row("Alert", f"[bold red]{escape(status.alert)}[/]")
    if status.maintenance:
        rows.add_row("Expected", f"{escape(str(status.maintenance))}: problems raise no alert")


def trading_text(status: Status, reason: str) -> str:
    """Return whether the program may send orders, as rich markup; ``reason`` says why not."""
    return "[green]orders may be sent[/]" if status.may_trade else f"[yellow]no orders:[/] {escape(reason)}"


def gateway_text(status: Status) -> str:
    """Return the endpoint, the client id, and the protocol version if it is known."""
    where = f"{status.endpoint} as client {status.client_id}"
    return where if status.server_version is None else f"{where}, protocol {status.server_version}"


def upstream_text(status: Status) -> str:
    """Return the state of the gateway's link to IB, as rich markup."""
    return _UPSTREAM[status.upstream]


def farms_text(status: Status) -> str:
    """Return the data farms as rich markup, broken ones first."""
    farms = sorted(status.farms.items(), key=lambda farm: (_WORST_FIRST.index(farm[1]), farm[0]))
    return ", ".join(_FARMS[state].format(escape(name)) for name, state in farms) or "none known yet"


def accounts_text(status: Status, show_accounts: bool) -> str:
    """Return the accounts of the login, masked unless ``show_accounts``."""
    names = status.accounts if show_accounts else map(mask_account, status.accounts)
    return escape(", ".join(names)) or "none known yet"


def masked_text(text: str, source: Status | GapReport, show_accounts: bool) -> str:
    """Return a text of the status or gap report with its account ids masked, unless ``show_accounts``."""
    return text if show_accounts else mask_accounts(text, source.accounts)
