"""A gateway cannot make memory or log grow without limit, and the status says when a limit is reached."""

from __future__ import annotations

import json
import logging
import struct
import tracemalloc

import pytest

from ibkr import ConnectionState, IBConnector
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, Make, NextTick, StateOf, Ticking

READY = ConnectionState.READY


def framed(*fields: str) -> bytes:
    body = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


async def flood(gateway: Gateway, connector: IBConnector, *messages: bytes) -> None:
    """Send these messages, and wait until they are read."""
    (client,) = gateway._state.clients
    for message in messages:
        client.send_raw(message)
    await connector.ib.reqCurrentTimeAsync()


async def test_farm_names_of_a_megabyte_are_not_kept(gateway: Gateway, make: Make) -> None:
    connector = make(probe_apart=0.01)
    await connector.connect_async()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(80):
        name = f"{number}".rjust(1_000_000, "x")
        await flood(gateway, connector, framed("4", "2", "-1", "2104", f"Market data farm connection is OK:{name}", ""))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 8e6
    assert (connector.status.state, len(connector.status.farms)) == (READY, 4)


async def test_farm_names_without_end_are_limited_and_that_is_reported(gateway: Gateway, make: Make) -> None:
    connector = make(probe_apart=0.01)
    await connector.connect_async()
    names = (f"{'farm' * (number % 2 * 100)}farm{number}" for number in range(1000))
    await flood(
        gateway,
        connector,
        *(framed("4", "2", "-1", "2104", f"Market data farm connection is OK:{name}", "") for name in names),
    )
    farms = connector.status.farms
    assert len(farms) == 64
    assert max(map(len, farms)) <= 64
    assert "more than 64 data farms were named" in connector.status.reason
    assert len(json.dumps(connector.status.to_dict())) < 20_000


async def test_messages_that_cannot_be_decoded_do_not_fill_the_log(
    gateway: Gateway, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make(probe_apart=0.01)
    await connector.connect_async()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        await flood(gateway, connector, *[framed("5", *["no number"] * 200)] * 5000)
    assert sum(len(caplog.handler.format(record)) for record in caplog.records) < 200_000
    assert "more undecodable messages arrived than are logged" in connector.status.reason
    assert (connector.status.state, connector.may_trade) == (ConnectionState.DEGRADED, False), "orders are not known"


async def test_errors_without_end_do_not_fill_the_log(
    gateway: Gateway, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make(probe_apart=0.01)
    await connector.connect_async()
    received: list[str] = []
    connector.ib.errorEvent += lambda req_id, code, text, contract: received.append(text)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        await flood(gateway, connector, *[framed("4", "2", "-1", "399", "x" * 20_000, "")] * 1000)
    assert sum(len(caplog.handler.format(record)) for record in caplog.records) < 100_000
    assert (len(received), max(map(len, received))) == (1000, 1003)


async def test_rows_without_end_are_limited_and_that_is_reported(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    connector = make(probe_apart=0.01)
    await connector.connect_async()
    values = [framed("6", "2", f"tag {number}", "1", "USD", "DU1234567") for number in range(22_000)]
    news = [framed("14", "1", f"{number}", "1", "text", "ISLAND") for number in range(6_000)]
    await flood(gateway, connector, b"".join(values), b"".join(news))
    for _ in range(20):  # remove old rows: the rows of each call need a slice
        await flood(gateway, connector)
    await state_of(connector, lambda status: "rows of accountValues" in status.reason and "news" in status.reason)
    assert len(connector.ib.wrapper.accountValues) <= 20_000 + 2_000
    assert connector.status.state is READY


async def test_what_is_no_number_in_json_is_none(gateway: Gateway, ticking: Ticking, next_tick: NextTick) -> None:
    connector, ticker = await ticking()
    await flood(gateway, connector, framed("94", "1", "nan", "inf", "-inf"))
    json.dumps(connector.status.to_dict(), allow_nan=False)
    json.dumps(connector.stats.to_dict(), allow_nan=False)
    json.dumps([each.to_dict() for each in connector.subscriptions], allow_nan=False)
    assert connector.ib.ticker(AAPL) is ticker


async def test_1101_without_end_is_one_restore_a_second(gateway: Gateway, ticking: Ticking) -> None:
    connector, _ = await ticking()
    await flood(gateway, connector, *[framed("4", "2", "-1", "1101", "restored - data lost", "")] * 2000)
    asked = len(gateway.seen.received("reqMktData"))
    assert asked <= 3
    await connector.wait_ready_async(5)
    assert len(gateway.seen.received("reqMktData")) <= 4
    limiter = internals.rate_limiter(connector)
    assert not limiter.has_waiting


async def test_the_port_follows_the_gateway(gateway: Gateway, ticking: Ticking, state_of: StateOf) -> None:
    connector, _ = await ticking()
    before = connector.port
    await gateway.fault("change_port")
    await state_of(connector, lambda status: status.outages == 1 and status.state is READY)
    assert connector.port == gateway.port != before


@pytest.mark.parametrize("start", [0, -1500], ids=["", "negative"])
async def test_rows_of_an_order_book_are_limited(gateway: Gateway, make: Make, start: int) -> None:
    connector = make(probe_apart=0.01)
    await connector.connect_async()
    await gateway.fault("mute", "reqMktDepth")
    ticker = connector.ib.reqMktDepth(AAPL)
    (req_id,) = internals.subscription_ids(connector)
    rows = [framed("12", "1", str(req_id), str(start + row), "0", "1", "100.5", "5") for row in range(1500)]
    await flood(gateway, connector, *rows)
    assert len(ticker.domBids) == (1000 if start == 0 else 0)
    assert "more than 1,000 rows of an order book were sent" in connector.status.reason
