"""A user's program, for type checkers alone: what the public API promises them. Never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from ib_async import IB, Stock

from ibkr import (
    Config,
    ConnectError,
    ConnectionState,
    FailureKind,
    IBConnector,
    NotReady,
    Policy,
    Status,
    load_config,
)


def show(status: Status) -> None:
    assert_type(status.state, ConnectionState)
    assert_type(status.reason, str)
    assert_type(status.may_trade, bool)
    assert_type(status.accounts, tuple[str, ...])
    assert_type(status.to_dict(), dict[str, Any])


def script() -> None:
    config = load_config()
    assert_type(config, Config)
    assert_type(config.ibkr.port, int)
    connector = IBConnector.from_config(config)
    assert_type(connector, IBConnector)
    try:
        assert_type(connector.connect(wait=True), bool)
    except ConnectError as error:
        assert_type(error.kind, FailureKind)
        assert_type(error.advice, str)
    assert_type(connector.ib, IB)
    ticker = connector.ib.reqMktData(Stock("AAPL", "SMART", "USD"))
    assert_type(connector.age(ticker), float | None)
    assert_type(connector.on_status(show), Callable[[], None])
    assert_type(connector.status, Status)
    assert_type(connector.disconnect(), bool)


async def program() -> None:
    async with IBConnector("127.0.0.1", 7497, 1, policy=Policy(probe_after=2.0)) as connector:
        assert_type(connector, IBConnector)
        async for status in connector.changes():
            assert_type(status, Status)
        try:
            assert_type(await connector.wait_ready_async(timeout=5), Status)
        except NotReady as error:
            assert_type(error.status, Status)
