"""A real NATS server for each test, and connectors in its fleet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from ibkr import Fleet, IBConnector, Policy
from ibkr.fleet.nats_server import NatsServer
from ibkr.simulator import Gateway

LEASE = 2.0
POLICY = Policy(region="none", restore_grace=0.05, upstream_grace=0.05)
NewMember = Callable[..., IBConnector]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """One running server."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def new_member(server: NatsServer, gateway: Gateway) -> AsyncIterator[NewMember]:
    """Makes connectors of one fleet. They are disconnected after the test."""
    made: list[IBConnector] = []

    def make(name: str = "alpha", *, to: Gateway = gateway, lease: float = LEASE, **options: object) -> IBConnector:
        fleet = Fleet(server.url, name=name, lease=lease)
        made.append(IBConnector("127.0.0.1", to.port, None, policy=POLICY, fleet=fleet, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for connector in made:
        await connector.disconnect_async()


@pytest.fixture
def start_gateway() -> Iterator[Callable[[], int]]:
    """Starts gateways, each in a separate thread. Each call gives a port."""
    from ibkr.simulator.threaded_gateway import ThreadedGateway

    made: list[ThreadedGateway] = []

    def make() -> int:
        made.append(ThreadedGateway(id_hold=0))
        made[-1].start()
        return made[-1].port

    yield make
    for gateway in made:
        gateway.stop()
