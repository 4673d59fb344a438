"""The ``fault`` command of ``ibkr simulate`` and ``ibkr proxy``, sent to the control port, and lists of faults."""

from __future__ import annotations

import difflib
import http.client
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ibkr.core.serialization import sanitize_text

if TYPE_CHECKING:
    from ibkr.simulator import Fault

_HOST = "127.0.0.1"
_TIMEOUT = 10.0
_DEFAULT_PORT = 7498

ControlPortOption = Annotated[
    int | None,
    typer.Option("--control", min=0, max=65535, help="Port that accepts faults (HTTP, JSON). 0 chooses a free port."),
]


def fault(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A fault that the command faults lists.")],
    args: Annotated[list[str] | None, typer.Argument(help="Its arguments: 10, or seconds=10.")] = None,
    control: Annotated[
        int | None,
        typer.Option(
            "--control",
            min=1,
            max=65535,
            help="Control port of the running gateway.",
            show_default=str(_DEFAULT_PORT),
        ),
    ] = None,
) -> None:
    """Apply a fault to a running gateway or proxy.

    Start it with a control port: [cyan]--control 7498[/cyan]

    Exit code 0 if it is done, 1 if no control port answers, 2 if the fault is
    unknown, its arguments are wrong, or it is refused.
    """
    command = context.parent.command_path if context.parent else "ibkr simulate"
    given_before = reject_other_options(context, but="control")
    _reject_unknown_options(context, [name, *(args or [])])
    port = control or given_before or _DEFAULT_PORT
    try:
        answer = _post(port, f"/faults/{name}", {"args": _parse_arguments(context, args or [])})
        text = f"done: {answer['done']}" if answer["ok"] else str(answer["error"])
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, RecursionError) as error:
        reason = error if isinstance(error, OSError) else "another program answers there"
        typer.echo(f"{command} fault: no control port at {_HOST}:{port}: {reason}", err=True)
        typer.echo(f"Start it with '{command} --control {port}', or name its port: --control PORT.", err=True)
        raise typer.Exit(1) from error
    if not answer["ok"]:
        typer.echo(f"{command} fault: {sanitize_text(text)}", err=True)
        raise typer.Exit(2)
    typer.echo(sanitize_text(text))


def _reject_unknown_options(context: typer.Context, words: list[str]) -> None:
    """Raise ``typer.BadParameter`` for a misspelt option. The parser accepts it, as it accepts negative numbers."""
    options = [option for parameter in context.command.params for option in parameter.opts if option.startswith("--")]
    options += [option for option in context.help_option_names if option.startswith("--")]
    for word in words:
        given = word.partition("=")[0]
        if given.startswith("--"):
            near = difflib.get_close_matches(given, options, n=1)
            cure = f"perhaps: {near[0]}" if near else f"its options: {', '.join(options)}"
            raise typer.BadParameter(f"{given!r} is not an option of {context.command_path}; {cure}", context)


def _parse_arguments(context: typer.Context, words: list[str]) -> list[str] | dict[str, str]:
    """Return positional or named arguments. Raises ``typer.BadParameter`` for a mixture of both."""
    named: dict[str, str] = {}
    for key, value in (word.split("=", 1) for word in words if "=" in word):
        if key in named:
            raise typer.BadParameter(f"{key} is given twice: {named[key]} and {value}", context)
        named[key] = value
    positional = [word for word in words if "=" not in word]
    if named and positional:
        raise typer.BadParameter("give all arguments by name, or none: 10, or seconds=10", context)
    return named or positional


def reject_other_options(context: typer.Context, *, but: str = "") -> Any:
    """Refuse all options before the name of a subcommand, except ``but``. Those options are for starting a gateway.

    Args:
        context: The context of the subcommand.
        but: The name of the option that is allowed.

    Returns:
        The value of that option; ``None`` if it was not given.

    Raises:
        typer.BadParameter: Another option was given.
    """
    parent = context.parent
    if parent is None:
        return None
    # Compare by name: the type comes from click, or from typer's copy of click.
    given = [name for name in parent.params if getattr(parent.get_parameter_source(name), "name", "") == "COMMANDLINE"]
    for name in given:
        if name != but:
            message = f"only for {parent.command_path} without a command; it has no effect before {context.info_name!r}"
            raise typer.BadParameter(message, context, param_hint=f"--{name.replace('_', '-')}")
    return parent.params[but] if but in given else None


def check_control_port(control: int | None, host: str, port: int, option: str) -> None:
    """Raise ``typer.BadParameter`` if the control port, on 127.0.0.1, is the port that ``option`` sets."""
    if control and control == port and host in ("", "0.0.0.0", "127.0.0.1", "localhost"):
        raise typer.BadParameter(f"{option} and --control must differ: both are {port}; choose another for one of them")


def print_faults(faults: Mapping[str, Fault], *, as_json: bool) -> None:
    """Print the faults, each with its arguments and what it does."""
    print_rows([{"usage": item.usage, "doc": item.doc} for _, item in sorted(faults.items())], as_json=as_json)


def print_rows(rows: list[dict[str, str]], *, as_json: bool) -> None:
    """Print rows as JSON, or as a table without headings."""
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*row.values())
    Console(markup=False, highlight=False).print(table)


def _post(port: int, path: str, body: dict[str, Any]) -> Any:
    # Do not use urllib: it would send this request to an HTTP proxy if an environment variable names one.
    connection = http.client.HTTPConnection(_HOST, port, timeout=_TIMEOUT)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
