"""The pytest plugin: a simulated TWS / IB Gateway (``ib_gateway``), and an ``IBConnector`` to it (``ib_connector``).

The fixtures are there as soon as the package is installed. Nothing is loaded until a test asks for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ibkr import IBConnector
    from ibkr.simulator.fixture import FixtureGateway


@pytest.fixture(scope="session")
def ib_gateway_options() -> dict[str, Any]:
    """The arguments of ``ibkr.simulator.Gateway`` for ``ib_gateway``. Define it in your conftest.py to give some."""
    return {}


@pytest.fixture(scope="session")
def _ib_gateway_of_session(ib_gateway_options: dict[str, Any]) -> Iterator[FixtureGateway]:
    from ibkr.simulator.fixture import FixtureGateway

    with FixtureGateway(**ib_gateway_options) as gateway:
        yield gateway


@pytest.fixture
def ib_gateway(_ib_gateway_of_session: FixtureGateway) -> Iterator[FixtureGateway]:
    """A simulated gateway on a free port of this machine, as new in every test; see ``FixtureGateway``."""
    yield _ib_gateway_of_session
    _ib_gateway_of_session.reset()


@pytest.fixture(scope="session")
def ib_connector_options() -> dict[str, Any]:
    """The arguments of ``IBConnector`` for ``ib_connector``, except host and port. Define it in your conftest.py."""
    return {}


@pytest.fixture
def ib_connector(ib_gateway: FixtureGateway, ib_connector_options: dict[str, Any]) -> Iterator[IBConnector]:
    """An ``IBConnector`` that is connected to ``ib_gateway`` and ready, as client 1, in a thread of its own.

    Use the client library by ``ib_connector.call(lambda ib: ...)``. It works in plain tests and in coroutines.
    """
    from ibkr import IBConnector

    connector = IBConnector(ib_gateway.host, ib_gateway.port, **{"client_id": 1, **ib_connector_options})
    connector.start_in_thread()
    try:
        connector.wait_ready(10)
        yield connector
    finally:
        connector.stop()
