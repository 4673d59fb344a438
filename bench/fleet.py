"""A fleet of 100 programs at 10 gateways: the cost of a member, and how soon the board shows a change."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.figures import Figure, plain
from bench.gateways import GatewayProcess, gateways
from ibkr import Fleet
from ibkr.fleet.board import Board
from ibkr.fleet.nats_server import NatsServer

COUNT, GATEWAYS = 100, 10
SECONDS = 10.0


@contextmanager
def crowd(servers: str, sites: list[GatewayProcess]) -> Iterator[subprocess.Popen[str]]:
    ports = [str(site.port) for site in sites]
    command = [sys.executable, "-m", "bench.fleet_members", str(COUNT), str(SECONDS), servers, *ports]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()


def said(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def cpu(pid: int) -> float:
    """Return the seconds of processor time that a process has used, as Linux reports them."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def follow(url: str, sites: list[GatewayProcess]) -> list[float]:
    """Seconds from a change at each gateway until the board shows it for all of its programs."""
    changed = asyncio.Event()
    board = Board(Fleet(url, name="operator"), on_change=changed.set)
    running = asyncio.create_task(board.run())

    async def until(port: int, may_trade: int) -> None:
        async with asyncio.timeout(60):
            while True:
                changed.clear()
                found = {each["gateway"].rpartition("/")[2]: each for each in board.to_dict()["gateways"]}
                if str(port) in found and found[str(port)]["may_trade"] == may_trade:
                    return
                await changed.wait()

    took = []
    for site in sites:
        await until(site.port, COUNT // GATEWAYS)
    for site in sites:
        await asyncio.to_thread(site.fault, "1100")
        began = time.monotonic()
        await until(site.port, 0)
        took.append(time.monotonic() - began)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return took


def _round() -> dict[str, Any]:
    with gateways(GATEWAYS) as sites, crowd("-", sites) as process:
        alone = said(process)
    with ExitStack() as ends:
        folder = ends.enter_context(tempfile.TemporaryDirectory())
        server = NatsServer(Path(folder))
        ends.callback(server.stop)
        url = server.start()
        sites = ends.enter_context(gateways(GATEWAYS))
        process = ends.enter_context(crowd(url, sites))
        told = said(process)
        began, used = time.monotonic(), cpu(server.pid)
        time.sleep(SECONDS)
        share = 100 * (cpu(server.pid) - used) / (time.monotonic() - began)
        took = asyncio.run(follow(url, sites))
    return {
        "memory": (told["memory"] - alone["memory"]) / COUNT,
        "share": told["share"],
        "alone share": alone["share"],
        "server share": share,
        "took": took,
    }


def measure(runs: int) -> list[Figure]:
    rounds = [_round() for _ in range(max(1, runs // 5))]

    def of(name: str) -> list[float]:
        return [each[name] for each in rounds]

    what = f"fleet of {COUNT} at {GATEWAYS} gateways"
    took = [each for one in rounds for each in one["took"]]
    return [
        plain("fleet follow", f"{what}: from a change at a gateway until the board shows it", took, "s", 0.5),
        plain("fleet memory", f"{what}, idle: memory that a member adds", of("memory"), "MB", 3.0),
        plain("fleet share", f"{what}, idle: share of a core", of("share"), "%", None, of("alone share")),
        plain("fleet server share", f"{what}, idle: share of a core, NATS server", of("server share"), "%"),
    ]
