"""What the commands of ``ibkr gateway`` print."""

from __future__ import annotations

import json

import typer
from rich.markup import escape
from rich.table import Table

from ibkr.core.accounts import mask_accounts
from ibkr.core.gateway import GatewayState, GatewayStatus
from ibkr.core.plain import plain
from ibkr.gateway.store import Answer

_LONGEST_LINE = 2000


def tell(answer: Answer, *, as_json: bool) -> None:
    """An answer in words or JSON; ends the command with exit code 1 if it was not done."""
    if as_json:
        print(json.dumps({"ok": answer.is_done, "message": answer.words}))
    else:
        typer.echo(answer.words[:1].upper() + answer.words[1:] + ".", err=not answer.is_done)
    if not answer.is_done:
        raise typer.Exit(1)


def print_json(status: GatewayStatus) -> None:
    """The status in one line of JSON, with its reason in words."""
    values = plain(status)
    assert isinstance(values, dict), "a status is a mapping in JSON"
    print(json.dumps({**values, "reason": status.reason}), flush=True)


def status_table(status: GatewayStatus) -> Table:
    """The status for people."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column()
    style = {GatewayState.RUNNING: "green", GatewayState.STOPPED: "dim"}.get(status.state, "yellow")
    rows.add_row("State", f"[{style}]{status.state}[/] since {status.since.astimezone():%a %H:%M:%S}")
    rows.add_row("Driver", f"{status.driver}, " + ("supervised" if status.supervised else "no supervisor runs"))
    for name, text in (("Why", status.reason), ("Alert", status.alert), ("To do", status.advice)):
        if text:
            rows.add_row(name, escape(text))
    rows.add_row("Restarts", f"{status.restarts} in the last 24 hours")
    if status.next_login is not None:
        rows.add_row("Next login", f"{status.next_login.astimezone():%a %d %b %H:%M}, with the second factor")
    return rows


def shown_line(line: str, *, show_accounts: bool) -> str:
    """A line of somebody else's log as it may be shown."""
    text = "".join(letter if letter.isprintable() else " " for letter in line[:_LONGEST_LINE]).rstrip()
    return text if show_accounts else mask_accounts(text)
