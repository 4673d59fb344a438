"""``ibkr explain``: prints what an IB code means, and what to do."""

from __future__ import annotations

import difflib
import json
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ibkr.cli.cli_options import JsonOption
from ibkr.core.codes import REACTION_TEXTS, Code, Severity, catalogue, find, search

_STYLES = {Severity.GOOD: "green", Severity.WARNING: "yellow", Severity.ERROR: "red"}

_SCOPES = {
    "session": "the session",
    "upstream": "the gateway's link to IB",
    "farm": "a data farm",
    "request": "a request",
    "order": "an order",
}


def explain(
    question: Annotated[
        list[str] | None, typer.Argument(metavar="CODE", help="Codes such as 1100 or 326, or words: pacing.")
    ] = None,
    words: Annotated[
        str | None, typer.Option("--search", metavar="WORDS", help="Find codes by words: 'market data'.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain codes of TWS or IB Gateway: what they mean, and what to do.

    Words instead of codes find the codes whose text contains all of them.

    Exit code 0 if there is an answer, 1 if a code is unknown or no code has the
    words, 2 if there is no question.
    """
    codes = [int(each) for each in question or [] if _is_code(each)]
    words = " ".join([*(each for each in question or [] if not _is_code(each)), words or ""]).strip()
    if not codes and not words:
        raise typer.BadParameter("give codes, or words to search for", param_hint="CODE")
    matches = search(words) if words else ()
    rows = [row for code in codes if (row := find(code))]
    rows += [row for row in matches if row not in rows]
    if as_json:
        print(json.dumps([row.to_dict() for row in rows]))
    elif rows:
        Console(highlight=False).print(_summary_table(rows) if words else Group(*map(_full_text, rows)))
    unknown = [code for code in codes if find(code) is None]
    for code in unknown:
        typer.echo(f"ibkr explain: {code} is not in the catalogue{_similar_codes(code)}", err=True)
    if words and not matches:
        typer.echo(f"ibkr explain: no code contains all of these words: {words}", err=True)
    if unknown or (words and not matches):
        raise typer.Exit(1)


def _is_code(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _full_text(row: Code) -> RenderableType:
    """Return a paragraph about one code: what it is, what it means, what to do."""
    head = Text.assemble((str(row.code), "bold"), "  ", (str(row.severity), f"bold {_STYLES[row.severity]}"))
    head.append(f"  {row.category}, about {_SCOPES[row.scope]}", style="dim")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    if row.advice:
        facts.add_row("What to do", Text(row.advice))
    if row.severity is not Severity.GOOD:
        facts.add_row("Retry later", "may help" if row.retry_helps else "does not help")
    if row.reaction in REACTION_TEXTS:
        facts.add_row("IBConnector", Text(REACTION_TEXTS[row.reaction]))
    return Group(head, Padding(Group(Text(row.meaning), facts), (0, 0, 1, 2)))


def _summary_table(rows: list[Code]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="bold")
    table.add_column(no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(str(row.code), Text(str(row.severity), style=_STYLES[row.severity]), Text(row.meaning))
    return table


def _similar_codes(code: int) -> str:
    similar = difflib.get_close_matches(str(code), map(str, catalogue()), n=3)
    return f"; similar codes: {', '.join(similar)}" if similar else ""
