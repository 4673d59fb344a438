"""The pytest plugin: the fixture ``ib_gateway``, a simulated TWS / IB Gateway in a thread of its own.

It is there as soon as the package is installed, and loads nothing until a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ibkr.simulator.fixture import FixtureGateway


@pytest.fixture(scope="session")
def ib_gateway_options() -> dict[str, Any]:
    """Arguments of ``ibkr.simulator.Gateway`` for ``ib_gateway``; define it in your conftest.py to give some."""
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
