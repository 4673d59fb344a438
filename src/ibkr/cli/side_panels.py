"""The panels next to the status on a large screen: subscriptions, orders, positions and messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ibkr.connector import IBConnector
from ibkr.core.codes import find
from ibkr.core.serialization import mask_json, sanitize_text, to_jsonable

Row = dict[str, Any]

_STYLES = {
    "live": "green",
    "open": "green",
    "sent": "cyan",
    "wanted": "cyan",
    "waiting": "yellow",
    "silent": "yellow",
    "withheld": "yellow",
    "refused": "bold red",
    "unconfirmed": "bold red",
    "good news": "green",
    "warning": "yellow",
    "error": "red",
}
_MIN_LINES = 4
"""Lines that each panel gets at least: its heading and three rows."""


@dataclass(frozen=True)
class Details:
    """The rows of the panels as JSON types, as in the web API."""

    subscriptions: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    positions: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)

    @classmethod
    def of(cls, connector: IBConnector, *, show_accounts: bool) -> Details:
        """Return the details of a connector of this process."""
        accounts = connector.status.accounts

        def rows(items: Any) -> list[Row]:
            return [item.to_dict(accounts, show_accounts=show_accounts) for item in items]

        positions: Any = to_jsonable(connector.positions)
        messages = [
            {**row, "severity": str(known.severity) if (known := find(row["code"])) else ""}
            for row in rows(connector.messages)
        ]
        shown_positions = positions if show_accounts else mask_json(positions, accounts)
        return cls(rows(connector.subscriptions), rows(connector.orders), shown_positions, messages)


@dataclass(frozen=True)
class SidePanels:
    """All panels in ``height`` lines. Each gets the lines that it needs, if possible; the messages get the rest."""

    details: Details
    height: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        panels = self.panels()
        needs = [1 + max(1, len(table.rows)) for _, table in panels]
        lines: list[list[Segment]] = []
        for number, (title, table) in enumerate(panels):
            reserved = sum(min(need, _MIN_LINES) for need in needs[number + 1 :])
            room = min(needs[number], self.height - len(lines) - reserved)
            if room < 2:
                continue
            shown = [
                *console.render_lines(Rule(title, align="left", style="dim"), options, pad=True),
                *console.render_lines(table, options.update(height=None), pad=True),
            ]
            lines += shown[:room]
        for line in lines[: self.height]:
            yield from line
            yield Segment.line()

    def panels(self) -> list[tuple[str, Table]]:
        """Return the panels, each with its title. Raises an error if a row of another program is wrong."""
        details = self.details
        return [
            (f"Subscriptions: {len(details.subscriptions)}", _table(map(_subscription, details.subscriptions))),
            (f"Orders: {len(details.orders)}", _table(map(_order, details.orders))),
            (f"Positions: {len(details.positions)}", _table(map(_position, details.positions))),
            ("Last messages of the gateway", _table(map(_message, reversed(details.messages)))),
        ]


def _table(rows: Any) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, justify="right")
    for state, text, last in rows:
        # Text from another program's page may contain control characters.
        table.add_row(
            Text(sanitize_text(state), _STYLES.get(state, "")),
            Text(sanitize_text(text)),
            Text(sanitize_text(last), "dim"),
        )
    if not table.rows:
        table.add_row(Text("none", "dim"), "", "")
    return table


def _subscription(row: Row) -> tuple[str, str, str]:
    age = "" if row["age"] is None else f"{row['age']:.0f} s ago"
    error = f"  {row['last_error']}" if row["last_error"] else ""
    return row["state"], f"{row['kind']} {row['label']}{error}", age


def _order(row: Row) -> tuple[str, str, str]:
    price = "" if row["limit_price"] is None else f" at {row['limit_price']:g}"
    text = f"{row['action']} {row['quantity']:g} {row['symbol']} {row['order_type']}{price}"
    return row["stage"], text, f"{row['filled']:g} filled, id {row['order_id']}"


def _position(row: Row) -> tuple[str, str, str]:
    return row["symbol"], f"{row['quantity']:g} at {row['average_cost']:g}", row["account"]


def _message(row: Row) -> tuple[str, str, str]:
    at = datetime.fromisoformat(row["at"]).astimezone()
    return row["severity"], f"{row['code']} {row['text']}", f"{at:%H:%M:%S}"
