"""``ibkr simulate fault`` and its like: what a running simulated gateway can be put through."""

from __future__ import annotations

import http.client
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ibkr.cli.options import JsonOption
from ibkr.simulator import FAULTS, shipped_scenarios

_HOST = "127.0.0.1"
_TIMEOUT = 10.0


def fault(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="As ibkr simulate faults lists them.")],
    args: Annotated[list[str] | None, typer.Argument(help="Its arguments: 10, or seconds=10.")] = None,
    control: Annotated[
        int, typer.Option("--control", min=1, max=65535, help="Control port of the running gateway.")
    ] = 7498,
) -> None:
    """Put a running gateway through a fault.

    The gateway was started with --control: [cyan]ibkr simulate --control 7498[/cyan]
    """
    words = args or []
    given: dict[str, Any] = {"args": [word for word in words if "=" not in word]}
    named: dict[str, str] = {}
    for key, value in (word.split("=", 1) for word in words if "=" in word):
        if key in named:
            raise typer.BadParameter(f"{key} is given twice: {named[key]} and {value}", context)
        named[key] = value
    if named and given["args"]:
        raise typer.BadParameter("give all arguments by name, or none: 10, or seconds=10", context)
    if named:
        given = {"args": named}
    try:
        answer = _post(control, f"/faults/{name}", given)
    except (OSError, http.client.HTTPException, ValueError) as error:
        typer.echo(f"ibkr simulate fault: no control port at {_HOST}:{control}: {error}", err=True)
        typer.echo(f"Start the gateway with one, or name another: ibkr simulate --control {control}", err=True)
        raise typer.Exit(1) from error
    if not answer["ok"]:
        typer.echo(f"ibkr simulate fault: {answer['error']}", err=True)
        raise typer.Exit(2)
    typer.echo(f"done: {answer['done']}")


def faults(as_json: JsonOption = False) -> None:
    """List the faults, with what each takes."""
    rows = [{"usage": item.usage, "doc": item.doc} for _, item in sorted(FAULTS.items())]
    _show(rows, as_json=as_json)


def scenarios(as_json: JsonOption = False) -> None:
    """List the scenarios that come with the package."""
    rows = [{"name": item.name, "about": item.about} for item in shipped_scenarios()]
    _show(rows, as_json=as_json)


def _show(rows: list[dict[str, str]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row.values())
    Console(markup=False, highlight=False).print(table)


def _post(port: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
    # Not urllib: a proxy named in the environment would be asked for a port of this machine.
    connection = http.client.HTTPConnection(_HOST, port, timeout=_TIMEOUT)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        return answer
    finally:
        connection.close()
