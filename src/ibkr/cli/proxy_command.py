"""``ibkr proxy``: runs a transparent proxy in front of a gateway until Ctrl-C, and sends faults to a running one."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ibkr.cli.cli_options import JsonOption, parse_address
from ibkr.cli.fault_control import ControlPortOption, check_control_port, fault, print_faults, reject_other_options
from ibkr.cli.long_running import log_to_stderr, run_server

if TYPE_CHECKING:
    from ibkr.proxy import Proxy

_RECORDING = "Recordings"
_PORT_CURE = "Another program uses that port, or you may not use it: choose others (--listen, --control)."

app = typer.Typer(add_completion=False)


@app.callback(invoke_without_command=True)
def proxy(
    context: typer.Context,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where clients connect. Port 0 chooses a free port.")
    ] = "127.0.0.1:7500",
    gateway: Annotated[
        str, typer.Option("--gateway", metavar="HOST:PORT", help="The TWS or IB Gateway behind it.")
    ] = "127.0.0.1:4002",
    control: ControlPortOption = None,
    show: Annotated[str, typer.Option("--show", help="Show only: session, orders, account, data, errors.")] = "",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also show ticks and other streams.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Allow faults on a live account. Real orders!")] = False,
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="DIR", rich_help_panel=_RECORDING, help="Record each session to a file."),
    ] = None,
    keep_private: Annotated[
        bool,
        typer.Option(
            "--keep-private", rich_help_panel=_RECORDING, help="Keep account ids, names, references and texts."
        ),
    ] = False,
    file_limit: Annotated[
        int,
        typer.Option("--file-limit", min=1, rich_help_panel=_RECORDING, help="MB per file; then a new file begins."),
    ] = 64,
    total_limit: Annotated[
        int,
        typer.Option(
            "--total-limit", min=1, rich_help_panel=_RECORDING, help="MB of all files; then the oldest are deleted."
        ),
    ] = 1024,
    as_json: JsonOption = False,
) -> None:
    """Show, record and break what passes between a program and a real gateway.

    Connect your program to --listen instead of the gateway. All bytes pass
    unchanged. Connections, requests and answers are printed on stderr.

    With [cyan]--control 7499[/cyan] it accepts faults from another terminal:
    [cyan]ibkr proxy fault reset --control 7499[/cyan]
    They never change what goes to the gateway, and it refuses them on a live
    account, unless you add --live.

    Exit code 0 after Ctrl-C or SIGTERM, 1 if it cannot listen, 2 for wrong
    usage.
    """
    # This function has over 40 lines because typer makes the command line from the signature.
    if context.invoked_subcommand is not None:
        return
    from ibkr.proxy import Proxy

    host, port = parse_address(listen, "--listen")
    check_control_port(control, host, port, "--listen")
    try:
        server = Proxy(
            *parse_address(gateway, "--gateway"),
            host,
            port,
            control_port=control,
            record=record,
            keeps_private=keep_private,
            max_file=file_limit * 1_000_000,
            max_total=total_limit * 1_000_000,
            show=[word for word in show.split(",") if word],
            shows_streams=verbose,
            allows_live=live,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), context, param_hint="--show") from None
    log_to_stderr("ibkr.proxy")
    if record is not None:
        _make_folder(record)
    show_address = partial(_print_address, server, as_json=as_json)
    ports = f"{host}:{port}" + ("" if control is None else f" and {control}")
    run_server(server, show_address, f"ibkr proxy: cannot listen on {ports}", _PORT_CURE)


app.command(context_settings={"ignore_unknown_options": True})(fault)


@app.command()
def faults(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the faults and their arguments."""
    reject_other_options(context)
    from ibkr.proxy.proxy_faults import PROXY_FAULTS

    print_faults(PROXY_FAULTS, as_json=as_json)


def _make_folder(record: Path) -> None:
    """Make the folder for recordings, if necessary. Raises ``typer.BadParameter``."""
    try:
        record.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if isinstance(error, FileExistsError) else error.strerror or str(error)
        message = f"{str(record)!r} cannot be used: {why}; name a folder that you may make or use"
        raise typer.BadParameter(message, param_hint="--record") from error


def _print_address(server: Proxy, *, as_json: bool) -> None:
    if as_json:
        where = {"host": server.host, "port": server.port, "control_port": server.control_port}
        print(json.dumps(where), flush=True)
        return
    host, port = server.gateway_address
    print(f"Proxy listens on {server.host}:{server.port}, for the gateway at {host}:{port}", flush=True)
    if server.control_port is not None:
        print(f"Control port on http://127.0.0.1:{server.control_port}", flush=True)
