"""A gateway, connectors with a journal, and one resting order."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ibkr import IBConnector, Policy
from ibkr.simulator import Gateway
from tests.fixture_types import Make

ACCOUNT = "DU1234567"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The journal's path."""
    return tmp_path / "journal.sqlite"


@pytest.fixture
async def make(gateway: Gateway, path: Path) -> AsyncIterator[Make]:
    """Makes connectors with the journal: ``make(client_id=7, journal=..., require_journal=False)``."""
    made: list[IBConnector] = []

    def make(
        client_id: int = 7, journal: str | Path = path, journal_sync: str = "normal", **policy: Any
    ) -> IBConnector:
        policies = Policy(**{"region": "none", "restore_grace": 0.05} | policy)
        connector = IBConnector(
            "127.0.0.1", gateway.port, client_id, policy=policies, journal=journal, journal_sync=journal_sync
        )
        made.append(connector)
        return connector

    yield make
    for connector in made:
        await connector.disconnect_async()


@pytest.fixture
async def trading(make: Make) -> IBConnector:
    """A connector that may trade."""
    connector = make()
    await connector.connect_async()
    await connector.wait_ready_async(5)
    return connector


@pytest.fixture
def look(path: Path) -> Callable[..., list[tuple[Any, ...]]]:
    """Queries the journal's file: ``look("SELECT state FROM intents")``."""

    def look(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as database, database:
            return database.execute(statement, values).fetchall()

    return look
