"""A half-open socket: the time until it is suspect and until it is declared dead, with default settings."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from bench.figures import Figure, plain
from bench.gateways import HOST, gateway
from ibkr import IBConnector, SessionState, Status


async def _measure(count: int) -> list[Figure]:
    suspected: dict[int, float] = {}
    dead: dict[int, float] = {}

    def note(number: int, status: Status) -> None:
        if status.session is SessionState.SUSPECT:
            suspected.setdefault(number, time.monotonic())
        elif not status.is_connected:
            dead.setdefault(number, time.monotonic())

    with gateway() as served:
        connectors = [IBConnector(HOST, served.port, number, 1) for number in range(1, count + 1)]
        for number, connector in enumerate(connectors):
            await connector.connect_async()
            connector.on_status(partial(note, number))
        served.fault("freeze")
        began = time.monotonic()
        while len(dead) < count and time.monotonic() < began + 20:  # noqa: ASYNC110 - the loop also ends after 20 s
            await asyncio.sleep(0.05)
        for connector in connectors:
            await connector.disconnect_async()
    return [
        plain("suspect", "half-open socket: until suspect", [at - began for at in suspected.values()], "s", 6.1),
        plain("dead", "half-open socket: until it is abandoned", [at - began for at in dead.values()], "s", 10.5),
    ]


def measure(runs: int) -> list[Figure]:
    return asyncio.run(_measure(runs))
