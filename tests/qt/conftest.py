"""Qt without a screen. Needs what ``make qt`` installs."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ibkr import IBConnector, Policy
from ibkr.simulator import ThreadedGateway

os.environ["QT_QPA_PLATFORM"] = "offscreen"
collect_ignore_glob = [] if importlib.util.find_spec("PySide6") else ["test_*.py"]

_PATIENCE = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.qt)


@pytest.fixture(scope="session")
def app() -> Any:
    """The one application that a process may have."""
    from PySide6.QtWidgets import QApplication

    return QApplication([])


@pytest.fixture
def until(app: Any) -> Callable[[Callable[[], object]], None]:
    """Runs Qt's event loop until this holds."""

    def wait(holds: Callable[[], object]) -> None:
        end = time.monotonic() + _PATIENCE
        while not holds():
            assert time.monotonic() < end, "it never held"
            app.processEvents()
            time.sleep(0.005)

    return wait


@pytest.fixture
def gateway(threaded_gateway: ThreadedGateway) -> ThreadedGateway:
    return threaded_gateway


@pytest.fixture
def connector(gateway: ThreadedGateway) -> Iterator[IBConnector]:
    """A connector that is not connected. It is disconnected after the test."""
    connector = IBConnector("127.0.0.1", gateway.port, 7, policy=Policy(region="none", refused_every=0.05))
    yield connector
    connector.stop()
