"""A user's program, only for type checkers: it checks the types of the public API. The program never runs."""

# pyright: strict

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from ib_async import IB, Position, Stock

from ibkr import (
    Config,
    ConnectError,
    ConnectionState,
    FailureKind,
    GapReport,
    IBConnector,
    NotReady,
    Policy,
    Stats,
    Status,
    load_config,
)
from ibkr.observe.command_sink import CommandSink
from ibkr.observe.history import History
from ibkr.observe.sink import Relay
from ibkr.simulator import SeenRequest, ThreadedGateway
from ibkr.simulator.fixture_gateway import FixtureGateway


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


async def positions(ib: IB) -> list[Position]:
    return await ib.reqPositionsAsync()


def beside_a_gui() -> None:
    connector = IBConnector("127.0.0.1", 7497, client_id=1).start_in_thread(background=True)
    assert_type(connector, IBConnector)
    assert_type(connector.call(positions, timeout=5), list[Position])
    assert_type(connector.call(lambda ib: ib.positions()), list[Position])
    while connector.sleep(1) and not connector.may_trade:
        connector.ensure_fresh(2.0)
    assert_type(connector.stats, Stats)
    connector.stop()


def watched(connector: IBConnector) -> None:
    def show_gap(report: GapReport) -> None:
        assert_type(report.to_dict(), dict[str, Any])

    connector.on_gap(show_gap)
    assert_type(connector.last_gap, GapReport | None)
    connector.on_status(Relay(History("ibkr.sqlite")))
    connector.on_status(Relay(CommandSink(["notify-send"]), name="alarm"))


def test_of_a_strategy(ib_gateway: FixtureGateway) -> None:
    ib_gateway.faults.restart(2)
    ib_gateway.wait_for(lambda gateway: gateway.client_ids == [1])
    assert_type(ib_gateway.received("reqMktData"), list[SeenRequest])


def simulated() -> None:
    with ThreadedGateway(accounts=("DU1",)) as gateway:
        assert_type(gateway.port, int)
        gateway.fault("reset")
