"""Section 3 of the specification: ``connect()`` and ``disconnect()`` with a mocked IB, in simulated time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from ib_async import IB

from ibkr import ConnectionState, GatewayUnreachable, IBConnector


class InjectedTime(selectors.DefaultSelector):
    """A wait ends immediately: the clock is moved forward instead."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the loop would wait forever: nothing is under way"
        self.now += timeout
        return super().select(0)


@pytest.fixture
def clock() -> Iterator[InjectedTime]:
    clock = InjectedTime()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now  # type: ignore[method-assign]
    asyncio.set_event_loop(loop)
    yield clock
    loop.close()
    asyncio.set_event_loop(None)


class MockedIB:
    """A real ``IB`` with a scripted ``client.connectAsync`` (None for success) and scripted answers.

    ``began`` lists the start time of each attempt.
    """

    def __init__(self, clock: InjectedTime, *outcomes: Exception | None) -> None:
        self.ib = IB()
        self.began: list[float] = []
        self._clock = clock
        self._outcomes = list(outcomes)
        client = self.ib.client
        client.connectAsync = AsyncMock(side_effect=self._connect)
        for request in (
            "Positions",
            "OpenOrders",
            "CompletedOrders",
            "AccountUpdates",
            "AccountUpdatesMulti",
            "Executions",
        ):
            setattr(self.ib, f"req{request}Async", self._answered)

    async def _connect(self, *_: object) -> None:
        self.began.append(self._clock.now)
        outcome = self._outcomes.pop(0)
        if outcome is not None:
            raise outcome
        client = self.ib.client
        client.connState = client.CONNECTED
        client._apiReady = True
        client._serverVersion = 178
        client._accounts = ["DU1234567"]
        client.conn.transport = self._transport()

    def _transport(self) -> Mock:
        conn = self.ib.client.conn
        return Mock(
            close=lambda: conn.connection_lost(None),
            abort=lambda: conn.connection_lost(None),
            write_eof=lambda: None,
        )

    def _answered(self, *_: Any) -> asyncio.Future[list[Any]]:
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        future.set_result([])
        return future


@pytest.fixture
def mocked(clock: InjectedTime) -> Callable[..., tuple[IBConnector, MockedIB]]:
    def make(*outcomes: Exception | None) -> tuple[IBConnector, MockedIB]:
        mock = MockedIB(clock, *outcomes)
        return IBConnector("127.0.0.1", 7497, 1, ib=mock.ib), mock

    return make


def test_success(mocked: Callable[..., tuple[IBConnector, MockedIB]]) -> None:
    connector, mock = mocked(None)
    assert connector.connect() is True
    assert connector.is_connected()
    assert connector.connected
    assert connector.status.state is ConnectionState.READY
    mock.ib.client.connectAsync.assert_awaited_once_with("127.0.0.1", 7497, 1, None)
    assert connector.disconnect() is True
    assert not connector.is_connected()


def test_two_failures_then_success_1_s_apart(mocked: Callable[..., tuple[IBConnector, MockedIB]]) -> None:
    connector, mock = mocked(ConnectionRefusedError(), ConnectionRefusedError(), None)
    assert connector.connect() is True
    assert mock.began == pytest.approx([mock.began[0] + seconds for seconds in (0.0, 1.0, 2.0)])
    connector.disconnect()


def test_three_failures_raise_the_last_cause(mocked: Callable[..., tuple[IBConnector, MockedIB]]) -> None:
    connector, mock = mocked(ConnectionRefusedError(), ConnectionRefusedError(), OSError(113, "No route to host"))
    with pytest.raises(GatewayUnreachable, match="No route to host") as raised:
        connector.connect()
    assert raised.value.attempts == 3
    assert mock.began == pytest.approx([mock.began[0] + seconds for seconds in (0.0, 1.0, 2.0)])
    assert not connector.is_connected()
    assert connector.disconnect() is True
