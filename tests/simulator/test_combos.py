"""Orders for combinations (BAG): accepted, reported with their legs, filled leg by leg."""

from typing import Any

import pytest
from ib_async import IB, ComboLeg, Contract, LimitOrder, MarketOrder

from ibkr.simulator import Gateway
from ibkr.wire.order_messages import COMMISSION_REPORT, COMPLETED_ORDER, EXEC_DETAILS, OPEN_ORDER

from .conftest import Connect
from .order_helpers import charged, order_request, reach, read, refusals

AAPL, MSFT = 265598, 272093
LEGS = [
    {"con_id": AAPL, "ratio": 1, "action": "BUY", "exchange": "SMART"},
    {"con_id": MSFT, "ratio": 2, "action": "SELL", "exchange": "SMART"},
]
_UNSET = {"open_close": 0, "short_sale_slot": 0, "designated_location": "", "exempt_code": -1}


def bag_request(order_id: int, legs: list[dict[str, Any]] = LEGS, **terms: object) -> bytes:
    combo = {
        "con_id": 0,
        "sec_type": "BAG",
        "symbol": "AAPL,MSFT",
        "combo_legs": [{**_UNSET, **leg} for leg in legs],
        "smart_combo_routing_params": [{"tag": "NonGuaranteed", "value": "1"}],
    }
    return order_request(order_id, **{**combo, "total_quantity": 10.0, "order_type": "MKT", **terms})


def bag() -> Contract:
    legs = [ComboLeg(conId=AAPL, ratio=1, action="BUY", exchange="SMART")]
    legs.append(ComboLeg(conId=MSFT, ratio=2, action="SELL", exchange="SMART"))
    return Contract(secType="BAG", symbol="AAPL,MSFT", exchange="SMART", currency="USD", comboLegs=legs)


class TestReports:
    async def test_open_order_names_the_legs(self, gateway: Gateway, connect: Connect) -> None:
        """The contract has the fields of the combination that ib-ruby recorded."""
        client = await connect(gateway.port, 1)
        client.send_raw(bag_request(1, order_type="LMT", lmt_price=-1000.0))
        told = read(OPEN_ORDER, (await client.until(5))[-1])
        contract = {"con_id": 28812380, "symbol": "AAPL,MSFT", "sec_type": "BAG", "right": "?", "exchange": "SMART"}
        assert {name: told[name] for name in contract} == contract
        assert (told["local_symbol"], told["trading_class"]) == ("28812380", "COMB")
        assert told["combo_legs_descrip"] == f"{AAPL}|1,{MSFT}|-2"
        assert told["combo_legs"] == [{**_UNSET, **leg} for leg in LEGS]
        assert told["smart_combo_routing_params"] == [{"tag": "NonGuaranteed", "value": "1"}]
        assert (told["lmt_price"], told["stop_price"]) == (-1000.0, -999.0)
        client.send(4, 1, 1, "")
        client.send(99, 0)
        ended = read(COMPLETED_ORDER, (await client.until(101))[-1])
        assert ended["combo_legs"] == told["combo_legs"]

    async def test_a_fill_is_one_execution_of_the_bag_and_one_of_each_leg(
        self, gateway: Gateway, connect: Connect
    ) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(bag_request(1))
        lines = await client.until(59)
        lines += await client.until(59)
        combo, first, second = (read(EXEC_DETAILS, line) for line in lines if line[0] == "11")
        assert [
            (item["sec_type"], item["symbol"], item["side"], item["shares"]) for item in (combo, first, second)
        ] == [
            ("BAG", "AAPL,MSFT", "BOT", 10.0),
            ("STK", "AAPL", "BOT", 10.0),
            ("STK", "MSFT", "SLD", 20.0),
        ]
        assert first["price"] - 2 * second["price"] == pytest.approx(combo["price"])
        assert [item["cum_qty"] for item in (combo, first, second)] == [10.0, 10.0, 20.0]
        # The execution ids of one fill differ only in their third part. In nautilus_trader issue 3712, the id of the
        # first leg ends with 02.01.
        base = combo["exec_id"].removesuffix(".01.01")
        assert [item["exec_id"] for item in (first, second)] == [f"{base}.02.01", f"{base}.03.01"]
        assert {item["order_id"] for item in (combo, first, second)} == {1}
        paid = [read(COMMISSION_REPORT, line) for line in lines if line[0] == "59"]
        assert [(item["exec_id"], item["commission"]) for item in paid] == [
            (f"{base}.02.01", 1.0),
            (f"{base}.03.01", 1.0),
        ]

    async def test_positions_are_those_of_the_legs(self, gateway: Gateway, connected: IB) -> None:
        trade = connected.placeOrder(bag(), MarketOrder("BUY", 10))
        await charged(trade, 2)
        assert trade.orderStatus.status == "Filled"
        assert [fill.contract.secType for fill in trade.fills] == ["BAG", "STK", "STK"]
        held = {item.contract.symbol: item.position for item in await connected.reqPositionsAsync()}
        assert (held["AAPL"], held["MSFT"]) == (110, -20)
        assert {item.symbol: item.quantity for item in gateway.positions} == {"AAPL": 110, "MSFT": -20, "ES": -1}
        executions = await connected.reqExecutionsAsync()
        assert [fill.contract.secType for fill in executions] == ["BAG", "STK", "STK"]

    async def test_partial_fills_by_hand(self, gateway: Gateway, connected: IB) -> None:
        trade = connected.placeOrder(bag(), LimitOrder("SELL", 10, 0.0))
        await reach(trade, "Submitted")
        gateway.fill("AAPL,MSFT", 4, 0.5)
        gateway.fill(trade.order.orderId)
        await charged(trade, 4)
        combos = [fill.execution for fill in trade.fills if fill.contract.secType == "BAG"]
        assert [(item.shares, item.price, item.cumQty, item.avgPrice) for item in combos] == [
            (4, 0.5, 4, 0.5),
            (6, 0.0, 10, 0.2),
        ]
        sold = [fill.execution for fill in trade.fills if fill.contract.symbol == "MSFT"]
        assert [(item.side, item.shares, item.cumQty) for item in sold] == [("BOT", 8, 8), ("BOT", 12, 20)]


class TestMarket:
    async def test_a_limit_is_compared_with_the_sum_of_the_legs(self, gateway: Gateway, connected: IB) -> None:
        rests = connected.placeOrder(bag(), LimitOrder("BUY", 1, -700.0))
        await reach(rests, "Submitted")
        fills = connected.placeOrder(bag(), LimitOrder("BUY", 1, -500.0))
        await charged(fills, 2)
        assert -700 < fills.orderStatus.avgFillPrice < -500
        assert rests.orderStatus.status == "Submitted"

    async def test_a_limit_is_reached_when_the_legs_move(self, gateway: Gateway, connected: IB) -> None:
        probe = connected.placeOrder(bag(), MarketOrder("BUY", 1))
        await charged(probe, 2)
        limit = round(probe.orderStatus.avgFillPrice - 0.05, 2)
        trade = connected.placeOrder(bag(), LimitOrder("BUY", 1, limit))
        await reach(trade, "Filled")
        assert trade.orderStatus.avgFillPrice <= limit

    async def test_what_if_adds_up_the_legs(self, connected: IB) -> None:
        state = await connected.whatIfOrderAsync(bag(), MarketOrder("BUY", 1000))
        assert state.commission == 5.0 + 10.0
        assert float(state.initMarginAfter) > float(state.initMarginBefore)


class TestRefusals:
    @pytest.mark.parametrize(
        ("legs", "code", "text"),
        [
            (
                [],
                321,
                "Error validating request.-'bN' : cause - Security type 'BAG' requires combo leg details.",
            ),
            ([{**LEGS[0], "con_id": 4711}], 200, "No security definition has been found for the request"),
            ([{**LEGS[0], "ratio": 0}], 321, "Error validating request.-'bN' : cause - Invalid leg ratio: 0"),
            ([{**LEGS[0], "action": "KEEP"}], 321, "Error validating request.-'bN' : cause - Invalid leg action: KEEP"),
        ],
    )
    async def test_legs_that_cannot_be(
        self, gateway: Gateway, connect: Connect, legs: list[dict[str, Any]], code: int, text: str
    ) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(bag_request(1, legs))
        assert await client.error() == (1, code, text)
        assert gateway.orders == []

    async def test_too_much_for_the_account(self, connected: IB) -> None:
        errors = refusals(connected)
        trade = connected.placeOrder(bag(), MarketOrder("BUY", 100_000))
        await reach(trade, "Inactive")
        assert [code for _, code, _ in errors] == [201]
