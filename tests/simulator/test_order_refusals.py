"""Refused orders, with TWS's texts; and what hostile orders cannot do."""

import asyncio
import random

import pytest
from ib_async import (
    IB,
    ContFuture,
    Contract,
    Forex,
    Index,
    LimitOrder,
    MarketOrder,
    Option,
    Order,
    Stock,
    StopOrder,
)

from ibkr.simulator import Gateway

from .order_helpers import APPLE, reach, refusals


class TestRefusals:
    @pytest.mark.parametrize(
        ("code", "order"),
        [
            (110, LimitOrder("BUY", 100, 100.001)),
            (201, MarketOrder("BUY", 1_000_000)),
            (321, MarketOrder("HOLD", 100)),
            (321, MarketOrder("BUY", 100, account="DU999")),
            (321, StopOrder("BUY", 100, 0.0)),
            (321, Order(action="BUY", totalQuantity=1, orderType="FEELINGS")),  # recorded by ibkr-go
            (391, LimitOrder("BUY", 100, 100.0, tif="GTD")),  # reported for ib_insync
            (391, LimitOrder("BUY", 100, 100.0, tif="GTD", goodTillDate="20240230 10:00:00 US/Eastern")),
            (434, MarketOrder("BUY", 0)),
            (10006, LimitOrder("BUY", 100, 100.0, parentId=4711)),
            (10052, LimitOrder("BUY", 100, 100.0, tif="XYZ")),
            (10243, MarketOrder("BUY", 0.5)),
        ],
    )
    async def test_an_order_that_tws_does_not_take(
        self, gateway: Gateway, connected: IB, code: int, order: Order
    ) -> None:
        errors = refusals(connected)
        connected.placeOrder(APPLE, order)
        await connected.reqOpenOrdersAsync()
        assert [(req_id, found) for req_id, found, _ in errors] == [(order.orderId, code)]
        assert gateway.executions == []

    @pytest.mark.parametrize(
        ("contract", "order_type"),
        [
            (Index("SPX", "CBOE", "USD"), "MKT"),
            (Index("SPX", "CBOE", "USD"), "LMT"),
            (Contract(secType="NEWS", symbol="BRFG:BRFG_ALL", exchange="BRFG"), "MKT"),
            (ContFuture("ES", "CME"), "MKT"),
            (Forex("EURUSD"), "MOC"),
            (Option("AAPL", "", 230.0, "C", "SMART"), "MOC"),  # reported for Lean
            (Option("AAPL", "", 230.0, "C", "SMART"), "LOC"),
        ],
    )
    async def test_what_cannot_be_traded_so(
        self, gateway: Gateway, connected: IB, contract: Contract, order_type: str
    ) -> None:
        details, *_ = await connected.reqContractDetailsAsync(contract)
        assert details.contract is not None
        errors = refusals(connected)
        order = Order(action="BUY", totalQuantity=1, orderType=order_type, lmtPrice=1.0)
        connected.placeOrder(details.contract, order)
        await connected.reqOpenOrdersAsync()
        assert [error[1:] for error in errors] == [(387, "Unsupported order type for this exchange and security type.")]
        assert gateway.executions == []

    async def test_an_order_good_till_a_date(self, connected: IB) -> None:
        for date in ("20271231 15:00:00 US/Eastern", "20271231-15:00:00", "20271231"):
            trade = connected.placeOrder(APPLE, LimitOrder("BUY", 1, 100.0, tif="GTD", goodTillDate=date))
            await reach(trade, "Submitted")

    async def test_too_much_for_the_account_is_inactive(self, connected: IB) -> None:
        errors = refusals(connected)
        trade = connected.placeOrder(APPLE, MarketOrder("BUY", 1_000_000))
        await reach(trade, "Inactive")
        await connected.reqOpenOrdersAsync()
        assert errors[0][2].startswith("Order rejected - reason:YOUR ORDER IS NOT ACCEPTED.")

    async def test_an_unknown_contract(self, connected: IB) -> None:
        errors = refusals(connected)
        connected.placeOrder(Stock("NOSUCH", "SMART", "USD"), MarketOrder("BUY", 1))
        await connected.reqOpenOrdersAsync()
        assert errors[0][1] == 200

    async def test_the_exchange_may_cancel_or_reject_later(self, gateway: Gateway, connected: IB) -> None:
        errors = refusals(connected)
        cancelled = connected.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0))
        rejected = connected.placeOrder(APPLE, LimitOrder("BUY", 100, 101.0))
        await reach(rejected, "Submitted")
        gateway.cancel_order(cancelled.order.orderId, "Market is closed")
        gateway.reject_order(rejected.order.orderId, "Too far away")
        await reach(cancelled, "Cancelled")
        await reach(rejected, "Inactive")
        await connected.reqOpenOrdersAsync()
        assert errors == [
            (cancelled.order.orderId, 202, "Order Canceled - reason:Market is closed"),
            (rejected.order.orderId, 201, "Order rejected - reason:Too far away"),
        ]

    async def test_ids_are_not_used_twice(self, gateway: Gateway, connect, plain_order) -> None:
        client = await connect(gateway.port, 5)
        for order_id in (10, 9):
            client.send(3, order_id, *plain_order("LMT", 100.0))
        assert (await client.error())[:2] == (9, 103)
        client.send(4, 1, 10, "")
        await client.until(4, "202")
        client.send(3, 10, *plain_order("LMT", 100.0))
        assert (await client.error())[:2] == (10, 103)
        client.send(8, 1, 1)
        assert (await client.until(9))[-1][2] == "11"

    async def test_what_cannot_be_cancelled(self, gateway: Gateway, connect) -> None:
        client = await connect(gateway.port, 5)
        client.send(4, 1, 77, "")
        assert (await client.error())[:2] == (77, 10147)
        order = gateway.place_order("AAPL", "BUY", 100, client_id=5)
        client.send(4, 1, order.order_id, "")
        req_id, code, text = await client.error()
        assert (req_id, code) == (order.order_id, 10148)
        assert text.endswith("state: Filled.")

    async def test_ids_that_nobody_may_use(self, gateway: Gateway, connect, plain_order) -> None:
        gateway.place_order("AAPL", "BUY", 100, limit_price=100.0)  # a manual order in TWS has no id
        client = await connect(gateway.port, 5)
        for order_id in (0, -1):
            client.send(3, order_id, *plain_order("LMT", 100.0))
            assert (await client.error())[:2] == (order_id, 10149)
        zero = await connect(gateway.port, 0)
        zero.send(4, 1, 0, "")
        assert (await zero.error())[:2] == (0, 10149)
        assert gateway.orders[0].status == "Submitted"

    async def test_the_21st_order_of_a_kind_is_rejected(self, gateway: Gateway) -> None:
        for _ in range(20):
            gateway.place_order("AAPL", "BUY", 1, limit_price=100.0, client_id=5)
        assert gateway.place_order("AAPL", "SELL", 1, limit_price=400.0, client_id=5).status == "Submitted"
        assert gateway.place_order("AAPL", "BUY", 1, limit_price=100.0, client_id=5).status == "Inactive"

    async def test_what_cannot_be_changed(self, gateway: Gateway, connect, plain_order) -> None:
        client = await connect(gateway.port, 5)
        client.send(3, 1, *plain_order("LMT", 100.0))
        client.send(3, 1, *plain_order("LMT", 100.0, action="SELL"))
        assert (await client.error())[:2] == (1, 105)
        gateway.fill(1)
        client.send(3, 1, *plain_order("LMT", 100.0))
        assert (await client.error())[:2] == (1, 104)

    @pytest.mark.parametrize("length", [1, 5, 20, 60, -1])
    async def test_a_short_or_long_one_is_320_and_the_session_goes_on(
        self, gateway: Gateway, connect, plain_order, length: int
    ) -> None:
        client = await connect(gateway.port, 5)
        fields = plain_order("LMT", 100.0)
        client.send(3, 1, *(fields[:length] if length > 0 else [*fields, "more"]))
        req_id, code, text = await client.error()
        assert (req_id, code) == (-1, 320)
        assert "Unable to parse field" in text
        client.send(3, 1, *fields)
        assert (await client.receive())[0] == "5"


def test_errors_of_the_python_api_say_what_is_there() -> None:
    gateway = Gateway()
    with pytest.raises(ValueError, match="no live order 7; there are: none"):
        gateway.fill(7)
    with pytest.raises(RuntimeError, match="is not running: start it"):
        gateway.place_order("AAPL", "BUY", 1)


async def test_orders_by_hand_are_checked(gateway: Gateway) -> None:
    with pytest.raises(ValueError, match="unknown symbol 'NOSUCH'"):
        gateway.place_order("NOSUCH", "BUY", 1)
    with pytest.raises(ValueError, match="account: 'DU9' is not one of DU1234567"):
        gateway.place_order("AAPL", "BUY", 1, account="DU9")
    with pytest.raises(ValueError, match="order refused with 110: The price does not conform"):
        gateway.place_order("AAPL", "BUY", 1, limit_price=1.001)
    for client_id in (1, 2):
        gateway.place_order("AAPL", "BUY", 10, limit_price=1.0, client_id=client_id)
    with pytest.raises(ValueError, match="several clients have a live order 1"):
        gateway.fill(1)
    with pytest.raises(ValueError, match="at most 10 can be filled, not 11"):
        gateway.fill("AAPL", 11)


@pytest.mark.parametrize("price", ["1e300", "Infinity", "-1e200", "1e9999"])
async def test_absurd_prices_do_no_harm(gateway: Gateway, connect, plain_order, price: str) -> None:
    client = await connect(gateway.port, 5)
    for order_id, kind in enumerate(("LMT", "STP", "TRAIL"), start=1):
        fields = plain_order(kind, price)
        fields[18] = price
        client.send(3, order_id, *fields)
        assert (await client.error())[1] in (320, 321)
    assert gateway.executions == []


async def test_thousands_of_mutated_orders_do_no_harm(connect, plain_order) -> None:
    roll = random.Random(44)
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with Gateway(tick_interval=0.005, on_rate="off") as gateway:
        client = await connect(gateway.port, 5)
        values = (
            "",
            "-1",
            "x",
            "1e300",
            "1",
            "2",
            "BAG",
            "PEG BENCH",
            "PEG BEST",
            "STP LMT",
            "TRAIL",
            "IOC",
            "D",
            2**31 - 1,
            "g",
        )
        for round_ in range(30):
            for order_id in range(50):
                fields = plain_order(roll.choice(("MKT", "LMT", "STP")), roll.choice((100.0, 230.0, 400.0)))
                for _ in range(roll.randint(0, 3)):
                    fields[roll.randrange(len(fields))] = roll.choice(values)
                client.send(3, 50 * round_ + order_id + 1, *fields)
                client.send(4, 1, roll.randint(1, 3000), "")
            client.send(5, 1)
            client.send(7, 3, 9, 0, "", "", "", "", "", "")
            await client.until(55)
        client.send(99, 0)
        await client.until(102)
        assert failures == []
        assert gateway.client_ids == [5]
        assert {order.status for order in gateway.orders} >= {"Filled", "Cancelled", "Submitted"}


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
async def test_orders_of_a_test_have_finite_numbers(gateway: Gateway, wrong: float) -> None:
    order = gateway.place_order("AAPL", "BUY", 10, limit_price=100.0)
    with pytest.raises(ValueError, match="price: a finite number is needed"):
        gateway.fill("AAPL", 1, wrong)
    with pytest.raises(ValueError, match="limit_price: a finite number is needed"):
        gateway.place_order("AAPL", "BUY", 10, limit_price=wrong)
    with pytest.raises(ValueError, match="stop_price: a finite number is needed"):
        gateway.place_order("AAPL", "BUY", 10, stop_price=wrong)
    with pytest.raises(ValueError, match="quantity: a finite number is needed"):
        gateway.place_order("AAPL", "BUY", wrong)
    assert gateway.orders == [order]
    assert gateway.executions == []
