"""``ibkr simulate``: runs the simulated gateway until Ctrl-C, and sends faults to a running one."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from ibkr.cli.cli_options import JsonOption
from ibkr.cli.fault_control import (
    ControlPortOption,
    check_control_port,
    fault,
    print_faults,
    print_rows,
    reject_other_options,
)
from ibkr.cli.long_running import log_to_stderr, run_server
from ibkr.simulator import FAULTS, Gateway, ScenarioError, load_scenario, shipped_scenarios
from ibkr.simulator.data_files import DataError
from ibkr.simulator.gateway_state import ID_HOLD
from ibkr.simulator.market.instrument_loader import SHIPPED as SHIPPED_INSTRUMENTS
from ibkr.simulator.requests.answer_file import SHIPPED as SHIPPED_ANSWERS
from ibkr.simulator.shared_state import MAX_VERSION

_LIMITS = "Its properties"
_OWN = "the package's own"
_PORT_CURE = (
    "Another program uses that port (TWS, or another simulator?), or you may not use it: close that program, or choose"
    " another port."
)

app = typer.Typer(add_completion=False)


@app.callback(invoke_without_command=True)
def simulate(
    context: typer.Context,
    host: Annotated[str, typer.Option("--host", help="Address. Beyond loopback, everybody can use it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="API port. 0 chooses a free port.")] = 7497,
    control: ControlPortOption = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="Run a scenario: a name (ibkr simulate scenarios) or a TOML file.")
    ] = None,
    speed: Annotated[float, typer.Option("--speed", help="Speed of market and scenario; 2 is twice as fast.")] = 1.0,
    accounts: Annotated[
        str, typer.Option("--accounts", rich_help_panel=_LIMITS, help="Account ids, separated by commas.")
    ] = "DU1234567",
    seed: Annotated[int, typer.Option("--seed", rich_help_panel=_LIMITS, help="Random seed of the prices.")] = 1,
    lines: Annotated[
        int,
        typer.Option(
            "--lines",
            rich_help_panel=_LIMITS,
            help="How many instruments may stream. For more than this, the answer is error 101.",
        ),
    ] = 100,
    instruments: Annotated[
        Path,
        typer.Option(
            "--instruments",
            rich_help_panel=_LIMITS,
            show_default=_OWN,
            help="TOML file with the contracts that it knows.",
        ),
    ] = SHIPPED_INSTRUMENTS,
    answers: Annotated[
        Path,
        typer.Option(
            "--answers", rich_help_panel=_LIMITS, show_default=_OWN, help="TOML file with news, scanners and more."
        ),
    ] = SHIPPED_ANSWERS,
    market_hours: Annotated[
        bool,
        typer.Option(
            "--market-hours",
            rich_help_panel=_LIMITS,
            help="Follow the hours and holidays of the exchanges. Default: always open.",
        ),
    ] = False,
    rate: Annotated[
        int, typer.Option("--rate", rich_help_panel=_LIMITS, help="Messages per second that it accepts from a client.")
    ] = 50,
    on_rate: Annotated[
        str,
        typer.Option(
            "--on-rate",
            rich_help_panel=_LIMITS,
            help="Above that: pace (wait), reject (error 100, then cut) or off (no limit).",
        ),
    ] = "pace",
    id_hold: Annotated[
        float,
        typer.Option("--id-hold", rich_help_panel=_LIMITS, help="Seconds for which the id of a lost client is held."),
    ] = ID_HOLD,
    server_version: Annotated[
        int,
        typer.Option("--server-version", rich_help_panel=_LIMITS, help="Highest API version that it speaks: 100-226."),
    ] = MAX_VERSION,
    latency: Annotated[
        str | None,
        typer.Option(
            "--latency",
            rich_help_panel=_LIMITS,
            help="Answer times: 20-300ms, or 20-300ms,reqHistoricalData=0.5-2s. Real gateways take 20-300ms.",
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option("--time-zone", rich_help_panel=_LIMITS, help="Time zone that it reports: British Summer Time."),
    ] = None,
    time_zone_encoding: Annotated[
        str, typer.Option("--time-zone-encoding", rich_help_panel=_LIMITS, help="Encoding of that name: gb2312.")
    ] = "utf-8",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every message that it sends.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a simulated gateway to develop against, until Ctrl-C.

    It speaks the real protocol of the API, so any program can connect to it.
    It prints connections and requests on stderr.

    With [cyan]--control 7498[/cyan] it accepts faults from another terminal:
    [cyan]ibkr simulate fault restart 10[/cyan]

    Exit code 0 after Ctrl-C or SIGTERM, 1 if it cannot listen, 2 for wrong
    usage.
    """
    # This function has over 40 lines because typer makes the command line from the signature.
    if context.invoked_subcommand is not None:
        return
    check_control_port(control, host, port, "--port")
    try:
        played = None if scenario is None else load_scenario(scenario)
        gateway = Gateway(
            host,
            port,
            control_port=control,
            accounts=_account_ids(accounts),
            seed=seed,
            speed=speed,
            lines=lines,
            instruments=instruments,
            answers=answers,
            market_hours=market_hours,
            rate=rate,
            on_rate=on_rate,
            id_hold=id_hold,
            server_version=server_version,
            latency=latency,
            time_zone=time_zone,
            time_zone_encoding=time_zone_encoding,
        )
    except ValueError as error:
        raise _wrong_value(error, context) from None
    log_to_stderr("ibkr.simulator", logging.DEBUG if verbose else logging.INFO)

    def on_started() -> None:
        _print_address(gateway, as_json=as_json)
        if played is not None:
            gateway.play(played, speed)

    ports = f"{host}:{port}" + ("" if control is None else f" and {control}")
    run_server(gateway, on_started, f"ibkr simulate: cannot listen on {ports}", _PORT_CURE)


app.command(context_settings={"ignore_unknown_options": True})(fault)  # for negative numbers, as in clock_off -30


@app.command()
def faults(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the faults and their arguments."""
    reject_other_options(context)
    print_faults(FAULTS, as_json=as_json)


@app.command()
def scenarios(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the scenarios that come with the package."""
    reject_other_options(context)
    print_rows([{"name": item.name, "about": item.about} for item in shipped_scenarios()], as_json=as_json)


def _account_ids(text: str) -> list[str]:
    """Return the account ids of ``--accounts``. Raises ``typer.BadParameter``."""
    ids = [part.strip() for part in text.split(",") if part.strip()]
    if not ids:
        message = f"{text!r} has no account id: write DU1234567, or DU1234567,DU7654321"
        raise typer.BadParameter(message, param_hint="--accounts")
    return ids


def _wrong_value(error: ValueError, context: typer.Context) -> typer.BadParameter:
    """Return the error to raise. It names the option instead of the argument of ``Gateway`` or the file."""
    text, hint = str(error), None
    name, _, why = text.partition(": ")
    if isinstance(error, ScenarioError):
        hint = "--scenario"
    elif isinstance(error, DataError):
        files = ("instruments", "answers")
        hint = next((f"--{each}" for each in files if text.startswith(f"{context.params[each]}: ")), None)
    elif name in context.params:
        text, hint = why, f"--{name.replace('_', '-')}"
    return typer.BadParameter(text, context, param_hint=hint)


def _print_address(gateway: Gateway, *, as_json: bool) -> None:
    if as_json:
        where = {"host": gateway.host, "port": gateway.port, "control_port": gateway.control_port}
        print(json.dumps(where), flush=True)
        return
    print(f"Simulated gateway listens on {gateway.host}:{gateway.port}", flush=True)
    if gateway.control_port is not None:
        print(f"Control port on http://127.0.0.1:{gateway.control_port}", flush=True)
