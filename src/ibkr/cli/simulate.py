"""``ibkr simulate``: the simulated gateway until a signal comes, and the commands that put it through faults."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from ibkr.cli.drive import fault, faults, scenarios
from ibkr.cli.options import JsonOption
from ibkr.cli.signals import call_on_stop
from ibkr.simulator import Gateway, Scenario, ScenarioError, load_scenario
from ibkr.simulator.hub import ID_HOLD
from ibkr.simulator.market.instruments import SHIPPED as SHIPPED_INSTRUMENTS
from ibkr.simulator.requests.answers import SHIPPED as SHIPPED_ANSWERS
from ibkr.simulator.state import MAX_VERSION

_LIMITS = "What it is like"
_OWN = "the package's own"

app = typer.Typer()


@app.callback(invoke_without_command=True)
def simulate(
    context: typer.Context,
    host: Annotated[str, typer.Option("--host", help="Address; beyond loopback anybody can use it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="API port; 0 takes a free one.")] = 7497,
    control: Annotated[
        int | None,
        typer.Option("--control", min=0, max=65535, help="Port that takes faults (HTTP, JSON); 0 takes a free one."),
    ] = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="Play this: a name (ibkr simulate scenarios) or a TOML file.")
    ] = None,
    speed: Annotated[float, typer.Option("--speed", help="Market and scenario so many times as fast.")] = 1.0,
    accounts: Annotated[
        str, typer.Option("--accounts", rich_help_panel=_LIMITS, help="Account ids, with commas between them.")
    ] = "DU1234567",
    seed: Annotated[int, typer.Option("--seed", rich_help_panel=_LIMITS, help="Another seed, other prices.")] = 1,
    lines: Annotated[
        int, typer.Option("--lines", rich_help_panel=_LIMITS, help="Instruments that may stream at once (101 beyond).")
    ] = 100,
    instruments: Annotated[
        Path,
        typer.Option(
            "--instruments",
            rich_help_panel=_LIMITS,
            show_default=_OWN,
            help="TOML file of the contracts that it knows.",
        ),
    ] = SHIPPED_INSTRUMENTS,
    answers: Annotated[
        Path,
        typer.Option(
            "--answers", rich_help_panel=_LIMITS, show_default=_OWN, help="TOML file of news, scanners and their like."
        ),
    ] = SHIPPED_ANSWERS,
    market_hours: Annotated[
        bool,
        typer.Option(
            "--market-hours",
            rich_help_panel=_LIMITS,
            help="Keep to the hours and holidays of the exchanges; else the market never closes.",
        ),
    ] = False,
    rate: Annotated[
        int, typer.Option("--rate", rich_help_panel=_LIMITS, help="Messages a second that it takes from a client.")
    ] = 50,
    on_rate: Annotated[
        str, typer.Option("--on-rate", rich_help_panel=_LIMITS, help="Above it: pace, reject (100, then cut), or off.")
    ] = "pace",
    id_hold: Annotated[
        float, typer.Option("--id-hold", rich_help_panel=_LIMITS, help="Seconds that a cut client's id stays taken.")
    ] = ID_HOLD,
    server_version: Annotated[
        int,
        typer.Option("--server-version", rich_help_panel=_LIMITS, help="Highest API version that it speaks, 100-226."),
    ] = MAX_VERSION,
    latency: Annotated[
        str | None,
        typer.Option(
            "--latency",
            rich_help_panel=_LIMITS,
            help="Answer times: 20-300ms, or 20-300ms,reqHistoricalData=0.5-2s. Real gateways need 20-300ms.",
        ),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option("--time-zone", rich_help_panel=_LIMITS, help="Zone that it tells clients: British Summer Time."),
    ] = None,
    time_zone_encoding: Annotated[
        str, typer.Option("--time-zone-encoding", rich_help_panel=_LIMITS, help="Encoding of that name: gb2312.")
    ] = "utf-8",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show every message that it sends, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """A simulated gateway to develop against, until Ctrl-C.

    It speaks the API's real protocol: point any program of yours at it. What
    connects and what it asks is told on stderr.

    With [cyan]--control 7498[/cyan] it can be put through faults:
    [cyan]ibkr simulate fault restart 10[/cyan], from another terminal.
    """
    # Over 40 lines by its signature, which typer makes the command line of.
    if context.invoked_subcommand is not None:
        return
    try:
        played = None if scenario is None else load_scenario(scenario)
        gateway = Gateway(
            host,
            port,
            control_port=control,
            accounts=tuple(filter(None, accounts.split(","))),
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
    except ValueError as error:  # a ScenarioError is one
        hint = "--scenario" if isinstance(error, ScenarioError) else None
        raise typer.BadParameter(str(error), context, param_hint=hint) from None
    _set_up_log(verbose)
    _run(
        gateway, played, speed, as_json=as_json, asked=f"{host}:{port}" + ("" if control is None else f" and {control}")
    )


app.command(context_settings={"ignore_unknown_options": True})(fault)  # clock_off -30
app.command()(faults)
app.command()(scenarios)


def _set_up_log(verbose: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    log = logging.getLogger("ibkr.simulator")
    log.addHandler(handler)
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    log.propagate = False


def _run(gateway: Gateway, played: Scenario | None, speed: float, *, as_json: bool, asked: str) -> None:
    try:
        asyncio.run(_serve(gateway, played, speed, as_json=as_json))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        typer.echo(f"ibkr simulate: cannot listen on {asked}: {error.strerror or error}", err=True)
        typer.echo(
            "Another program has that port (TWS itself, or another simulator?), or it may not be used:"
            " end that program, or choose another port.",
            err=True,
        )
        raise typer.Exit(1) from error


async def _serve(gateway: Gateway, played: Scenario | None, speed: float, *, as_json: bool) -> None:
    stopping = asyncio.Event()
    call_on_stop(stopping.set)
    async with gateway:
        if as_json:
            where = {"host": gateway.host, "port": gateway.port, "control_port": gateway.control_port}
            print(json.dumps(where), flush=True)
        else:
            print(f"Simulated gateway listens on {gateway.host}:{gateway.port}", flush=True)
            if gateway.control_port is not None:
                print(f"Control port on http://127.0.0.1:{gateway.control_port}", flush=True)
        typer.echo("Ctrl-C ends it.", err=True)
        if played is not None:
            gateway.play(played, speed)
        await stopping.wait()
