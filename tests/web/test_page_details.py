"""The page's sections below the status: subscriptions, orders, positions, messages, answer times, other ranges."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from ib_async import LimitOrder, Stock

from tests.fixture_types import AAPL

from .conftest import TOKEN

MONEY = ("/api/details", "/api/messages", "/api/status", "/api/events", "/c/1/api/details", "/api/connectors")


async def test_subscriptions_orders_and_positions(gateway, served):
    one = await served(held=False)
    one.connector.ib.reqMktData(AAPL)
    one.connector.ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0, account="DU1234567", orderRef="of DU1234567"))
    one.connector.ib.placeOrder(Stock("MSFT", "SMART", "USD", conId=272093), LimitOrder("BUY", 7, 1.0))
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 2)
    gateway.fill("MSFT")
    await one.connector.ib.reqPositionsAsync()
    answer = await one.visitor.ask("/api/details")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    details = answer.json
    [stream] = details["subscriptions"]["rows"]
    assert (stream["kind"], details["subscriptions"]["total"]) == ("market data", 1)
    [order] = details["orders"]["rows"]
    assert (order["stage"], order["action"], order["quantity"], order["limit_price"]) == ("open", "BUY", 10.0, 1.0)
    assert (order["account"], order["order_ref"]) == ("DU***67", "of DU***67")
    held = {each["symbol"]: each for each in details["positions"]["rows"]}
    assert (held["MSFT"]["quantity"], held["MSFT"]["account"]) == (7.0, "DU***67")


async def test_an_order_whose_fate_is_unknown_comes_first(gateway, served):
    one = await served(held=False)
    one.connector.ib.placeOrder(AAPL, LimitOrder("BUY", 10, 1.0))
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await one.connector.ib.reqCurrentTimeAsync()
    await gateway.fault("mute", "placeOrder")
    one.connector.ib.placeOrder(AAPL, LimitOrder("BUY", 20, 1.0))
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 2)

    def stages() -> list[tuple[str, float]]:
        return [(str(each.stage), each.quantity) for each in one.connector.orders]

    assert stages() == [("sent", 20.0), ("open", 10.0)]
    await gateway.fault("1100")
    async for status in one.connector.changes():
        if status.unconfirmed:
            break
    assert stages() == [("unconfirmed", 20.0), ("open", 10.0)]


async def test_messages_come_with_their_severity_and_new_ones_in_the_stream(gateway, served):
    one = await served(held=False)
    async with one.visitor.events() as events:
        await anext(events)
        await gateway.fault("1100")
        await gateway.fault("1102")
        codes: list[int] = []
        async for event in events:
            if event["event"] == "messages":
                codes += [each["code"] for each in event["data"]["messages"]]
            if 1102 in codes:
                break
    kept = (await one.visitor.ask("/api/messages")).json["messages"]
    assert [each["number"] for each in kept] == list(range(1, len(kept) + 1))
    by_code = {each["code"]: each for each in kept}
    assert (by_code[1100]["severity"], by_code[1102]["severity"]) == ("error", "good news")
    assert by_code[1100]["text"].startswith("Connectivity between")


async def test_ordinary_requests_are_timed(served):
    one = await served(held=False)
    await one.connector.ib.reqContractDetailsAsync(AAPL)
    [answer] = one.connector.answer_times
    assert (answer.name, 0 < answer.seconds < 5) == ("reqContractDetails", True)
    [(_, seconds, name)] = (await one.visitor.ask("/api/round-trips")).json["answers"]
    assert (name, seconds > 0) == ("reqContractDetails", True)


@pytest.mark.parametrize("hours", [1, 24, 168, 720])
async def test_the_timeline_has_other_ranges(served, hours):
    one = await served()
    band = (await one.visitor.ask(f"/api/timeline?hours={hours}")).json
    span = datetime.fromisoformat(band["to"]) - datetime.fromisoformat(band["from"])
    assert span.total_seconds() == hours * 3600


@pytest.mark.parametrize("hours", ["0", "721", "-1", "1.5", "x", "9" * 5000, "", "%00", "%D9%A3", "0000000000001999"])
async def test_a_range_that_there_is_not(served, hours):
    one = await served()
    assert (await one.visitor.ask(f"/api/timeline?hours={hours}")).status == 400


async def test_what_shows_money_needs_the_token(served):
    one = await served(token=TOKEN)
    for path in MONEY:
        assert (await one.visitor.ask(path)).status == 401, path
    for path in MONEY[:3]:
        assert (await one.visitor.ask(path, Authorization=f"Bearer {TOKEN}")).status == 200
    told = (await one.visitor.ask("/api/status", Authorization=f"Bearer {TOKEN}")).json
    json.dumps(told, allow_nan=False)


async def test_an_unknown_connector_is_404(served):
    one = await served()
    assert (await one.visitor.ask("/c/1/api/status")).status == 200
    for path in ("/c/2/api/status", "/c/x/api/status", "/c/99999999999999999999999/api/status"):
        assert (await one.visitor.ask(path)).status == 404
