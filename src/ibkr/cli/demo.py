"""``ibkr demo``: every fault in turn, and how the connection comes back from it."""

from __future__ import annotations

import asyncio
import difflib
import json
import time
from typing import Annotated

import typer
from rich.console import Console

from ibkr.cli.options import JsonOption
from ibkr.cli.playbill import Playbill, outcome_table
from ibkr.cli.scenes import CLIENT_ID, POLICY, SCENES, TIMEOUT, Scene
from ibkr.cli.stage import Outcome, Stage
from ibkr.connector import IBConnector
from ibkr.simulator import ThreadedGateway


def demo(
    only: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FAULT", help="Play these alone, by the names in the headings: reset, freeze, 1101, ..."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch a connection come back from every fault; takes about 50 seconds.

    Starts a simulated gateway and a connector on this machine, plays one
    fault after another, and says how soon each was noticed and how soon the
    connection was whole again. Needs no TWS and no account.

    Exit code 0 when it came back from every fault, 1 when it did not.
    """
    chosen = _chosen(only or [])
    playbill = Playbill(Console(stderr=True, highlight=False), len(chosen))
    began = time.monotonic()
    outcomes, ticks = asyncio.run(_play(chosen, playbill))
    failed = [outcome.fault for outcome in outcomes if not outcome.recovered]
    if as_json:
        print(json.dumps([outcome.to_dict() for outcome in outcomes]))
    else:
        Console(highlight=False).print(outcome_table(chosen, outcomes))
    playbill.end(failed, ticks, time.monotonic() - began)
    if failed:
        raise typer.Exit(1)


def _chosen(only: list[str]) -> tuple[Scene, ...]:
    known = {scene.key: scene for scene in SCENES}
    for key in only:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise typer.BadParameter(f"no fault {key!r}; {hint}", param_hint="FAULT")
    return tuple(scene for key, scene in known.items() if not only or key in only)


async def _play(chosen: tuple[Scene, ...], playbill: Playbill) -> tuple[list[Outcome], int]:
    with ThreadedGateway(id_hold=0) as gateway:
        connector = IBConnector(gateway.host, gateway.port, CLIENT_ID, TIMEOUT, policy=POLICY)
        playbill.begin(gateway.host, gateway.port)
        stage = Stage(gateway, connector, playbill)
        try:
            await stage.set_up()
            outcomes = [await stage.play(number, scene) for number, scene in enumerate(chosen, 1)]
        finally:
            await stage.tear_down()
    return outcomes, stage.ticks
