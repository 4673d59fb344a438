"""A simulated gateway in a process of its own, a connector with its subscriptions, and what both have seen."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ib_async import Contract, Ticker

from ibkr import ConnectionState, IBConnector, Policy, Status
from ibkr.simulator.market.instrument_loader import load_instruments

HOST = "127.0.0.1"
CLIENT_ID = 7
SUBSCRIPTIONS = 20
LIMIT = 30.0
"""Seconds after which every fault must be over. No fault should need half of this time."""

POLICY = Policy(
    probe_after=1,
    suspect_after=0.3,
    probe_timeout=1,
    backoff_first=0.25,
    backoff_cap=1,
    request_timeout=0.5,
    stream_silence=1,
)
TIMEOUT = 1.0


class NotHeld(Exception):
    """A check has failed. The text names the check."""


class Control:
    """The control port of the simulator."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def fault(self, line: str) -> None:
        """Carry out a fault, written as on a command line."""
        name, *args = line.split()
        await self._ask(f"POST /faults/{name}", json.dumps({"args": args}))

    async def seen(self) -> dict[str, Any]:
        """What the gateway saw."""
        return await self._ask("GET /seen")

    async def _ask(self, what: str, body: str = "") -> dict[str, Any]:
        head = f"{what} HTTP/1.1\r\nHost: {HOST}:{self._port}\r\nContent-Length: {len(body)}\r\n\r\n"
        async with asyncio.timeout(LIMIT):
            reader, writer = await asyncio.open_connection(HOST, self._port)
            writer.write(f"{head}{body}".encode())
            _, _, said = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()
        answer: dict[str, Any] = json.loads(said)
        if not answer["ok"]:
            raise RuntimeError(f"the simulator refused {what}: {answer['error']}")
        return answer


@asynccontextmanager
async def gateway_process() -> AsyncIterator[tuple[int, Control]]:
    """Run ``ibkr simulate``. Gives its API port and its control port."""
    options = ["--port", "0", "--control", "0", "--id-hold", "0.2", "--json"]
    command = [sys.executable, "-m", "ibkr", "simulate", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: ASYNC220
    assert process.stdout is not None
    try:
        where = json.loads(process.stdout.readline() or "{}")
        if not where:
            raise RuntimeError("the simulator did not start: ibkr simulate says why")
        yield where["port"], Control(where["control_port"])
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(LIMIT)


@dataclass
class Outages:
    """Records when ``READY`` was lost and regained, as the connector published it."""

    durations: list[float] = field(default_factory=list)
    _lost_at: float | None = None

    def note(self, status: Status) -> None:
        now = asyncio.get_running_loop().time()
        if status.state is ConnectionState.READY:
            if self._lost_at is not None:
                self.durations.append(now - self._lost_at)
            self._lost_at = None
        elif self._lost_at is None:
            self._lost_at = now


class Rig:
    """The connector under test, and the control of its gateway."""

    def __init__(self, port: int, control: Control) -> None:
        self._control = control
        self.connector = IBConnector(HOST, port, CLIENT_ID, TIMEOUT, policy=POLICY)
        self.outages = Outages()
        self._tickers: list[Ticker] = []
        self._ticks: list[int] = []
        self._ticked = asyncio.Event()

    async def start(self) -> None:
        """Connect and subscribe."""
        await self.connector.connect_async()
        self.connector.on_status(self.outages.note)
        for item in load_instruments().live[:SUBSCRIPTIONS]:
            contract = Contract(item.sec_type, item.con_id, item.symbol, exchange=item.exchange, currency=item.currency)
            ticker = self.connector.ib.reqMktData(contract)
            ticker.updateEvent.connect(partial(self._count, len(self._tickers)), keep_ref=True)
            self._tickers.append(ticker)
            self._ticks.append(0)
        if len(self._tickers) != SUBSCRIPTIONS:
            raise RuntimeError(f"the simulator knows {len(self._tickers)} contracts, {SUBSCRIPTIONS} are needed")
        await self.all_tick()

    async def fault(self, line: str) -> None:
        """Carry out a fault."""
        await self._control.fault(line)

    async def faults_seen(self) -> list[str]:
        """The faults that the simulator has carried out."""
        return list((await self._control.seen())["faults"])

    async def until(self, holds: Callable[[Status], bool], what: str = "what this fault leads to") -> None:
        """Wait for a status. Raises `NotHeld` if the status does not come within the limit."""
        try:
            async with asyncio.timeout(LIMIT):
                async for status in self.connector.changes():
                    if holds(status):
                        return
        except TimeoutError:
            raise NotHeld(f"{what} was not seen within {LIMIT:g} s: {self.connector!r}") from None

    async def ready(self, outages: int) -> None:
        """Wait until the connector is ``READY`` after this many outages. Raises `NotHeld` if that takes too long."""

        def is_back(status: Status) -> bool:
            return status.state is ConnectionState.READY and status.outages >= outages

        await self.until(is_back, f"READY after {outages} outages")

    async def all_tick(self) -> None:
        """Wait for a new tick of every subscription, on the same object. Raises `NotHeld` if a tick does not come."""
        before = self._ticks.copy()
        silent: list[str] = []
        try:
            async with asyncio.timeout(LIMIT):
                while silent := [
                    ticker.contract.symbol
                    for ticker, now, then in zip(self._tickers, self._ticks, before, strict=True)
                    if now == then and ticker.contract
                ]:
                    self._ticked.clear()
                    await self._ticked.wait()
        except TimeoutError:
            raise NotHeld(f"no tick within {LIMIT:g} s: {', '.join(silent)}; {self.connector!r}") from None
        held = self.connector.ib.tickers()
        if {id(ticker) for ticker in held} != {id(ticker) for ticker in self._tickers}:
            raise NotHeld("the library's tickers are no longer the objects that the program holds")

    def _count(self, index: int, _: Ticker) -> None:
        self._ticks[index] += 1
        self._ticked.set()
