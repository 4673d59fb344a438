"""A simulated gateway on one host, a connector on another, and a network between them that fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from ibkr import ConnectionState, IBConnector, Policy, Status
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import AAPL, NextTick

from .lab import GATEWAY, Lab, missing

PORT = 4002
READY = ConnectionState.READY
NewGateway = Callable[..., ThreadedGateway]


@pytest.fixture(scope="session", autouse=True)
def able() -> None:
    """These tests fail, and are not skipped, on a machine that cannot run them."""
    if lacks := missing():
        pytest.fail(f"the network tests cannot run here: {lacks}", pytrace=False)


@pytest.fixture
def lab(able: None) -> Iterator[Lab]:
    """The network. The test itself runs on the client's host."""
    lab = Lab()
    try:
        with lab.client.entered():
            yield lab
    finally:
        lab.remove()


@pytest.fixture
def new_gateway(lab: Lab) -> Iterator[NewGateway]:
    """Makes gateways on the gateway's host. Each gateway releases a client id when the client has disconnected."""
    made: list[ThreadedGateway] = []

    def make(host: str = "0.0.0.0") -> ThreadedGateway:
        with lab.gateway.entered():
            made.append(ThreadedGateway(host=host, port=PORT, id_hold=0))
            made[-1].start()
        return made[-1]

    yield make
    for gateway in made:
        gateway.stop()


@pytest.fixture
def gateway(new_gateway: NewGateway) -> ThreadedGateway:
    """A gateway that listens on every address."""
    return new_gateway()


class Watched:
    """A connector with the default settings and one ticker, and a record of its statuses."""

    def __init__(self, next_tick: NextTick, host: str) -> None:
        self.connector = IBConnector(host, PORT, 7, policy=Policy(region="none"))
        self.said: list[Status] = []
        self.connector.on_status(self.said.append)
        self._next_tick = next_tick

    async def connect(self) -> None:
        """Connect, and wait for a tick."""
        await self.connector.connect_async()
        self.ticker = self.connector.ib.reqMktData(AAPL)
        await self._next_tick(self.ticker)

    async def back(self, within: float = 60) -> None:
        """Wait until it is ``READY`` and ticks."""
        await self.connector.wait_ready_async(within)
        await self._next_tick(self.ticker)

    def states(self) -> set[ConnectionState]:
        """The states that it was in."""
        return {status.state for status in self.said}


Watch = Callable[..., Watched]


@pytest.fixture
async def watch(lab: Lab, next_tick: NextTick) -> AsyncIterator[Watch]:
    """Makes watched connectors."""
    made: list[Watched] = []

    def make(host: str = GATEWAY) -> Watched:
        made.append(Watched(next_tick, host))
        return made[-1]

    yield make
    for watched in made:
        await watched.connector.disconnect_async()
        assert ConnectionState.FAILED not in watched.states()
