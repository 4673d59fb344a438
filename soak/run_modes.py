"""The three ways to run a program that trades: in an event loop, in a plain script, with the connection in a thread."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from ibkr import IBConnector
from ibkr.simulator import Gateway, ThreadedGateway

T = TypeVar("T")
READY_WITHIN = 30.0


class Stage(Protocol):
    """A connector and its gateway, and the actions of a program of this kind. A test waits only with these methods."""

    connector: IBConnector
    gateway: Gateway

    async def pause(self, seconds: float) -> None:
        """Let time pass, as a program of this kind does."""

    async def ready(self) -> None:
        """Wait until the connector is ``READY``."""

    def program(self, act: Callable[[], T]) -> T:
        """Do this as the program."""

    def gateways(self, act: Callable[[], T]) -> T:
        """Do this in the gateway's own thread."""

    async def fault(self, name: str, *arguments: object) -> None:
        """Carry out a fault."""


class InLoop:
    """The program is a coroutine. The gateway runs in the same loop."""

    def __init__(self, gateway: Gateway, connector: IBConnector) -> None:
        self.gateway, self.connector = gateway, connector

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def ready(self) -> None:
        await self.connector.wait_ready_async(READY_WITHIN)

    def program(self, act: Callable[[], T]) -> T:
        return act()

    def gateways(self, act: Callable[[], T]) -> T:
        return act()

    async def fault(self, name: str, *arguments: object) -> None:
        await self.gateway.fault(name, *arguments)


class InScript:
    """The program is a plain script, so the coroutines never wait. Sometimes no loop runs while time passes."""

    def __init__(self, threaded: ThreadedGateway, connector: IBConnector, chance: random.Random) -> None:
        self._threaded, self.connector, self._chance = threaded, connector, chance
        self.gateway = threaded.call(lambda gateway: gateway)

    async def pause(self, seconds: float) -> None:
        if self._chance.random() < 0.1:
            time.sleep(seconds)  # noqa: ASYNC251 - no loop runs here
        else:
            self.connector.sleep(seconds)

    async def ready(self) -> None:
        self.connector.wait_ready(READY_WITHIN)

    def program(self, act: Callable[[], T]) -> T:
        return act()

    def gateways(self, act: Callable[[], T]) -> T:
        return self._threaded.call(lambda _: act())

    async def fault(self, name: str, *arguments: object) -> None:
        self._threaded.fault(name, *arguments)


class InThread(InScript):
    """A program with its connection in a separate thread."""

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - no loop runs here

    def program(self, act: Callable[[], T]) -> T:
        return self.connector.call(lambda _: act())


@asynccontextmanager
async def stage(
    way: str, connect: Callable[[int], IBConnector], chance: random.Random, **options: Any
) -> AsyncIterator[Stage]:
    """Give a gateway with these options and a connected connector. ``way`` is loop, script or thread."""
    if way == "loop":
        async with Gateway(**options) as gateway:
            connector = connect(gateway.port)
            await connector.connect_async(wait=True)
            try:
                yield InLoop(gateway, connector)
            finally:
                await connector.disconnect_async()
        return
    with ThreadedGateway(**options) as threaded:
        connector = connect(threaded.port)
        connector.start_in_thread() if way == "thread" else connector.connect()
        try:
            yield InThread(threaded, connector, chance) if way == "thread" else InScript(threaded, connector, chance)
        finally:
            connector.stop() if way == "thread" else connector.disconnect()


def run(way: str, work: Coroutine[Any, Any, T]) -> T:
    """Run this where a program of this kind runs: in an event loop, or in none."""
    if way == "loop":
        return asyncio.run(work)
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("something has waited that may not")
