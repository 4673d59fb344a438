"""The pytest plugin, with the fixtures ``ib_gateway``, ``ib_connector`` and ``ib_recording``.

They are a simulated TWS or IB Gateway, an ``IBConnector`` to it, and a recording of a real gateway. They are available
when the package is installed. Nothing is imported until a test uses a fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ibkr import IBConnector
    from ibkr.proxy.replay_fixture import RecordedGateway
    from ibkr.simulator.fixture_gateway import FixtureGateway


@pytest.fixture(scope="session")
def ib_gateway_options() -> dict[str, Any]:
    """Arguments of ``ibkr.simulator.Gateway`` for ``ib_gateway``. Override this fixture in your conftest.py."""
    return {}


@pytest.fixture(scope="session")
def _ib_session_gateway(ib_gateway_options: dict[str, Any]) -> Iterator[FixtureGateway]:
    from ibkr.simulator.fixture_gateway import FixtureGateway

    with FixtureGateway(**ib_gateway_options) as gateway:
        yield gateway


@pytest.fixture
def ib_gateway(_ib_session_gateway: FixtureGateway) -> Iterator[FixtureGateway]:
    """A simulated gateway on a free port, reset after every test; see ``FixtureGateway``."""
    yield _ib_session_gateway
    _ib_session_gateway.reset()


@pytest.fixture(scope="session")
def ib_connector_options() -> dict[str, Any]:
    """Arguments of ``IBConnector`` for ``ib_connector``, without host and port. Override it in your conftest.py."""
    return {}


@pytest.fixture
def ib_connector(ib_gateway: FixtureGateway, ib_connector_options: dict[str, Any]) -> Iterator[IBConnector]:
    """An ``IBConnector`` in its own thread, connected to ``ib_gateway`` as client 1, and ready.

    Call the client library with ``ib_connector.call(lambda ib: ...)``, in plain tests and in coroutines.
    """
    from ibkr import IBConnector

    connector = IBConnector(ib_gateway.host, ib_gateway.port, **{"client_id": 1, **ib_connector_options})
    connector.start_in_thread()
    try:
        connector.wait_ready(10)
        yield connector
    finally:
        connector.stop()


@pytest.fixture
def ib_recording(request: pytest.FixtureRequest) -> Iterator[Callable[..., RecordedGateway]]:
    """Replays recordings of ``ibkr proxy``: ``ib_recording("file")`` returns a ``RecordedGateway`` on a free port.

    The file is searched next to the test file, then in the current directory. ``speed=10`` replays ten times as fast.
    """
    from ibkr.proxy.replay_fixture import RecordedGateway

    folder = request.path.parent
    with ExitStack() as stack:

        def play(file: str | Path, *, speed: float = 1.0) -> RecordedGateway:
            path = folder / file if (folder / file).exists() else Path(file)
            if not path.exists():
                raise FileNotFoundError(f"no recording {str(file)!r}, neither in {folder} nor in {Path.cwd()}")
            return stack.enter_context(RecordedGateway(path, speed=speed))

        yield play
