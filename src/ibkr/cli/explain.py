"""``ibkr explain``: what a code of IB's means, and what to do."""

from __future__ import annotations

import difflib
import json
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ibkr.cli.options import JsonOption
from ibkr.core.codes import IN_WORDS, Code, Severity, catalogue, find, search

_STYLES = {Severity.GOOD: "green", Severity.WARNING: "yellow", Severity.ERROR: "red"}


def explain(
    codes: Annotated[list[int] | None, typer.Argument(metavar="CODE...", help="Codes such as 1100 or 326.")] = None,
    words: Annotated[
        str | None, typer.Option("--search", metavar="WORDS", help="Find codes by words: 'market data'.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What do these codes of TWS or IB Gateway mean, and what is to be done?

    Exit code 0 when there is an answer, 1 when nothing is known of a code or
    nothing was found, 2 when there is no question.
    """
    if not codes and not (words or "").strip():
        raise typer.BadParameter("give codes, or --search WORDS", param_hint="CODE...")
    rows = [row for code in codes or [] if (row := find(code))]
    rows += [row for row in search(words or "") if row not in rows]
    if as_json:
        print(json.dumps([row.to_dict() for row in rows]))
    elif rows:
        Console(highlight=False).print(_brief(rows) if words else Group(*map(_in_full, rows)))
    unknown = [code for code in codes or [] if find(code) is None]
    for code in unknown:
        typer.echo(f"ibkr explain: {code} is not in the catalogue{_near(code)}", err=True)
    if words and not search(words):
        typer.echo(f"ibkr explain: no code has all of these words: {words}", err=True)
    if unknown or not rows:
        raise typer.Exit(1)


def _in_full(row: Code) -> RenderableType:
    """One code as a paragraph: what it is, what it means, what to do."""
    head = Text.assemble((str(row.code), "bold"), "  ", (str(row.severity), f"bold {_STYLES[row.severity]}"))
    head.append(f"  {row.category}, about {_ABOUT[row.scope]}", style="dim")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    if row.advice:
        facts.add_row("What to do", Text(row.advice))
    if row.severity is not Severity.GOOD:
        facts.add_row("Again later", "may help" if row.retry_helps else "does not help by itself")
    if row.reaction in IN_WORDS:
        facts.add_row("IBConnector", Text(IN_WORDS[row.reaction]))
    return Group(head, Padding(Group(Text(row.meaning), facts), (0, 0, 1, 2)))


_ABOUT = {
    "session": "the session",
    "upstream": "the gateway's link to IB",
    "farm": "a data farm",
    "request": "a request",
    "order": "an order",
}


def _brief(rows: list[Code]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="bold")
    table.add_column(no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(str(row.code), Text(str(row.severity), style=_STYLES[row.severity]), Text(row.meaning))
    return table


def _near(code: int) -> str:
    near = difflib.get_close_matches(str(code), map(str, catalogue()), n=3)
    return f"; near it: {', '.join(near)}" if near else ""
