"""``ibkr simulate``: the simulated gateway until a signal comes."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Annotated

import typer

from ibkr.cli.options import JsonOption
from ibkr.simulator import Gateway


def simulate(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="API port; 0 takes a free one.")] = 7497,
    control: Annotated[
        int | None,
        typer.Option(
            "--control", min=0, max=65535, help="Port that takes faults as lines of text; 0 takes a free one."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """A simulated gateway on 127.0.0.1 to develop against, until Ctrl-C.

    It speaks the API's real protocol: point any program of yours at it. With
    --control M it takes faults, one per line, and answers in JSON:
    [cyan]echo restart 10 | nc 127.0.0.1 M[/cyan]; the line "faults" lists them all.
    """
    gateway = Gateway(port=port, control_port=control)
    try:
        asyncio.run(_serve(gateway, as_json=as_json))
    except KeyboardInterrupt:
        pass
    except OSError as error:
        ports = str(port) if control is None else f"{port} and {control}"
        typer.echo(f"ibkr simulate: cannot listen on 127.0.0.1:{ports}: {error.strerror or error}", err=True)
        typer.echo(
            "Another program has that port (TWS itself, or another simulator?), or it may not be used:"
            " end that program, or choose another port.",
            err=True,
        )
        raise typer.Exit(1) from error


async def _serve(gateway: Gateway, *, as_json: bool) -> None:
    stopping = asyncio.Event()
    if sys.platform != "win32":  # there, Ctrl-C arrives as KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with gateway:
        if as_json:
            where = {"host": gateway.host, "port": gateway.port, "control_port": gateway.control_port}
            print(json.dumps(where), flush=True)
        else:
            print(f"Simulated gateway listens on {gateway.host}:{gateway.port}", flush=True)
            if gateway.control_port is not None:
                print(f"Control port on {gateway.host}:{gateway.control_port}", flush=True)
        typer.echo("Ctrl-C ends it.", err=True)
        await stopping.wait()
