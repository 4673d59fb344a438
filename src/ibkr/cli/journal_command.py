"""``ibkr journal``: prints the orders, fills and gaps in the journal of a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ibkr.cli.cli_options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from rich.table import Table

JournalOption = Annotated[
    Path | None,
    typer.Option("--journal", metavar="FILE", help="The journal file. Default: as configured.", show_default=False),
]


def journal(
    file: JournalOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Number of last entries of each kind.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show orders, fills and gaps in a program's journal, also while it runs.

    Exit code 0 if no order is unconfirmed; 1 if one is, or the journal cannot
    be read; 2 if no journal is known, or for wrong usage or configuration.
    """
    from ibkr.core.errors import JournalError
    from ibkr.core.serialization import mask_json, to_json
    from ibkr.journal.journal_reader import read_journal

    path, show_accounts = find_journal(file, config)
    try:
        found = read_journal(path, limit)
    except JournalError as error:
        typer.echo(f"ibkr journal: {error}", err=True)
        raise typer.Exit(1) from error
    if not show_accounts:
        found = mask_json(found, tuple(found["accounts"]))
    if as_json:
        print(to_json(found))
    else:
        try:
            _print_journal(found)
        except (LookupError, TypeError, ValueError) as error:
            typer.echo(f"ibkr journal: {path} has a row that cannot be shown: {error!r}", err=True)
            raise typer.Exit(1) from error
    if found["unconfirmed"]:
        raise typer.Exit(1)


def find_journal(file: Path | None, config: Path | None) -> tuple[Path, bool]:
    """Return the path of the journal, and whether to show account ids. Raises ``ConfigError``."""
    from ibkr.config import load_config
    from ibkr.core.errors import ConfigError
    from ibkr.journal.journal_path import journal_path

    settings = load_config(config).ibkr
    path = file or settings.journal
    if not path:
        cure = "names no journal: set it in ibkr.toml, with IBKR_JOURNAL or with --journal FILE"
        raise ConfigError("ibkr.journal", "", cure)
    return journal_path(path), settings.show_accounts


def _print_journal(found: dict[str, Any]) -> None:
    from rich.console import Console

    screen = Console(highlight=False, markup=False)
    holder = found["in_use_by"]
    used = f"in use by process {holder['pid']} on {holder['host']}" if holder else "not in use"
    screen.print(
        f"{found['path']}: client {found['client_id']}, {', '.join(found['accounts']) or 'no login yet'}, {used}"
    )
    if found["known_until"]:
        screen.print(f"The program last received something at {found['known_until']}.")
    if found["halted"]:
        screen.print(
            f"Halted: {found['halted']['reason']} ({found['halted']['by']}, {found['halted']['at']})", style="yellow"
        )
    _print_tables(screen.print, found)
    for order in found["unconfirmed"]:
        where = "it may be at the broker" if order["has_left"] else "the program did not send it"
        text = f"{order['order_id']} {order['action']} {order['quantity']:g} {order['symbol']} {order['order_type']}"
        screen.print(f"Unconfirmed: {text}: {where}", style="bold red")


def _print_tables(show: Any, found: dict[str, Any]) -> None:
    orders = _table("Orders", "at", "id", "what", "", "price", "in the program", "at the broker")
    for each in found["orders"]:
        price = "/".join(f"{each[name]:g}" for name in ("limit_price", "stop_price") if each[name] is not None)
        what = f"{each['action']} {each['quantity']:g} {each['symbol']}".strip() if each["symbol"] else ""
        orders.add_row(
            _time(each["at"]),
            str(each["order_id"] or ""),
            each["kind"],
            what,
            f"{each['order_type']} {price}".strip(),
            each["state"],
            f"{each['status']} {each['filled']:g}" if each["status"] else "",
        )
    fills = _table("Fills", "at", "order", "what", "price", "account", "execution")
    for each in found["executions"]:
        side = "BUY" if each["side"] == "BOT" else "SELL"
        what = f"{side} {each['shares']:g} {each['symbol']}"
        row = (str(each["order_id"]), what, f"{each['price']:g}", each["account"], each["exec_id"])
        fills.add_row(_time(each["time"]), *row)
    gaps = _table("Gaps", "from", "seconds", "cause", "what changed", "complete")
    for each in found["gaps"]:
        changes = ", ".join(f"{len(each[name])} {title}" for name, title in _CHANGES.items() if each[name])
        gaps.add_row(
            _time(each["start"]),
            f"{each['seconds']:.1f}",
            each["cause"],
            changes or "nothing",
            "yes" if each["complete"] else "no",
        )
    for table in (orders, fills, gaps):
        if table.row_count:
            show(table)
    if not found["orders"] and not found["executions"]:
        show("No orders, no fills.")


_CHANGES = {
    "executions": "missed executions",
    "orders_changed": "changed orders",
    "orders_appeared": "new orders",
    "orders_vanished": "vanished orders",
    "orders_confirmed": "found orders",
    "orders_unconfirmed": "unconfirmed orders",
    "positions": "changed positions",
}


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        table.add_column(column)
    return table


def _time(text: str) -> str:
    """Return the time without fractions of a second and without the zone, which is UTC or the broker's."""
    return text[:19].replace("T", " ")
