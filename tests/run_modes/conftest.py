"""A gateway in a thread of its own, and connectors with the client library under test."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from ibkr import IBConnector, Policy
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make

FAST = {"probe_apart": 0.01, "refused_every": 0.02, "closed_every": 0.05, "connect_pause": 0.02, "restore_grace": 0.1}


@pytest.fixture(scope="session")
def library(backend: str) -> ModuleType:
    """The client library under test."""
    return importlib.import_module(backend)


@pytest.fixture
def gateway() -> Iterator[ThreadedGateway]:
    with ThreadedGateway(id_hold=0, tick_interval=0.02) as gateway:
        yield gateway


@pytest.fixture
def make(library: ModuleType, gateway: ThreadedGateway) -> Iterator[Make]:
    """Makes connectors to the gateway, or to another port: ``make(client_id=8, port=..., probe_after=1)``."""
    made: list[IBConnector] = []

    def make(client_id: int = 7, port: int = 0, timeout: float = 2, **policy: Any) -> IBConnector:
        policy = {**FAST, **policy}
        connector = IBConnector(
            "127.0.0.1",
            port or gateway.port,
            client_id,
            timeout,
            ib=library.IB(),
            policy=Policy(**{"region": "none"} | policy),
        )
        made.append(connector)
        return connector

    yield make
    for connector in made:
        connector.stop()


@pytest.fixture
def apple(library: ModuleType) -> Any:
    """AAPL, as the client library's contract."""
    return library.Stock("AAPL", "SMART", "USD", conId=265598)
