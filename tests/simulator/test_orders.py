"""Orders of a real ib_async client: placed, changed, cancelled, filled, refused."""

import asyncio

import pytest
from ib_async import IB, LimitOrder, MarketOrder, Order, StopLimitOrder, StopOrder, Trade

from ibkr.simulator import Gateway

from .order_helpers import APPLE, TIMEOUT, charged, reach, refusals


def bid_and_ask(gateway: Gateway, symbol: str = "AAPL") -> tuple[float, float]:
    """The current market, seen by an order that never fills."""
    probe = gateway.place_order(symbol, "BUY", 1, limit_price=1.0, client_id=99)
    quote = gateway._state.market.quote_of(probe.instrument)
    gateway.cancel_order(probe.order_id) if probe.is_live else None
    return quote.bid, quote.ask


class TestLimit:
    async def test_a_resting_order_is_submitted_seen_and_cancelled(self, gateway: Gateway, connected: IB) -> None:
        errors = refusals(connected)
        trade = connected.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0, orderRef="mine"))
        await reach(trade, "Submitted")
        assert [entry.status for entry in trade.log] == ["PendingSubmit", "PreSubmitted", "Submitted"]
        (seen,) = await connected.reqOpenOrdersAsync()
        assert seen is trade
        assert (trade.order.permId, trade.orderStatus.remaining) == (gateway.orders[0].perm_id, 100)
        connected.cancelOrder(trade.order)
        await reach(trade, "Cancelled")
        assert await connected.reqOpenOrdersAsync() == []
        assert errors == [(trade.order.orderId, 202, "Order Canceled - reason:")]

    async def test_price_and_quantity_can_be_changed(self, gateway: Gateway, connected: IB) -> None:
        trade = connected.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0))
        await reach(trade, "Submitted")
        trade.order.lmtPrice, trade.order.totalQuantity = 101.5, 50
        connected.placeOrder(APPLE, trade.order)
        await gateway.wait_for(lambda gateway: gateway.orders[0].limit_price == 101.5)
        (order,) = gateway.orders
        assert (order.quantity, order.status) == (50, "Submitted")
        await connected.reqOpenOrdersAsync()
        assert trade.orderStatus.remaining == 50
        assert (trade.order.lmtPrice, trade.order.totalQuantity) == (101.5, 50)  # the next change sends these values

    async def test_an_order_that_crosses_the_market_is_filled_at_the_better_price(self, connected: IB) -> None:
        trade = connected.placeOrder(APPLE, LimitOrder("BUY", 100, 300.0))
        await charged(trade)
        assert 200 < trade.fills[0].execution.price < 260

    async def test_a_resting_one_is_filled_when_the_market_comes_to_it(self, gateway: Gateway, connected: IB) -> None:
        _, ask = bid_and_ask(gateway)
        trade = connected.placeOrder(APPLE, LimitOrder("BUY", 100, round(ask - 0.01, 2)))
        await reach(trade, "Filled")
        assert trade.fills[0].execution.price <= round(ask - 0.01, 2)

    async def test_what_is_filled_by_hand_has_the_limit_as_its_price(self, gateway: Gateway, connected: IB) -> None:
        trade = connected.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0))
        await reach(trade, "Submitted")
        gateway.fill(trade.order.orderId, 30)
        gateway.fill("AAPL", 30, 99.5)
        gateway.fill("AAPL")
        await charged(trade, 3)
        assert [(fill.execution.shares, fill.execution.price) for fill in trade.fills] == [
            (30, 100.0),
            (30, 99.5),
            (40, 100.0),
        ]
        assert trade.orderStatus.avgFillPrice == pytest.approx(99.85)
        assert [fill.execution.cumQty for fill in trade.fills] == [30, 60, 100]

    async def test_the_market_rests_when_no_order_waits_for_it(self, gateway: Gateway, connect) -> None:
        client = await connect(gateway.port, 5)
        placed = gateway.place_order("AAPL", "BUY", 100, limit_price=100.0)
        first = gateway._state.market.quote_of(placed.instrument)
        await gateway.wait_for(lambda gateway: gateway._state.market.quote_of(placed.instrument) != first)
        gateway.cancel_order("AAPL")
        rests = gateway._state.market.quote_of(placed.instrument)
        assert await client.hears_nothing()
        assert gateway._state.market.quote_of(placed.instrument) == rests


class TestMarket:
    async def test_it_is_filled_with_execution_and_commission(self, gateway: Gateway, connected: IB) -> None:
        trade = connected.placeOrder(APPLE, MarketOrder("BUY", 100))
        await charged(trade)
        assert trade.orderStatus.status == "Filled"
        (fill,) = trade.fills
        assert (fill.execution.side, fill.execution.shares, fill.execution.orderId) == ("BOT", 100, trade.order.orderId)
        assert (fill.commissionReport.commission, fill.commissionReport.currency) == (1.0, "USD")
        assert fill.execution.execId == gateway.executions[0].exec_id
        assert [entry.status for entry in trade.log][:2] == ["PendingSubmit", "PreSubmitted"]

    async def test_messages_come_in_the_order_of_tws(self, gateway: Gateway, connect) -> None:
        client = await connect(gateway.port, 5)
        gateway.place_order("AAPL", "BUY", 100, client_id=5)
        messages = [(line[0], line[2]) for line in await client.until(59)]
        # rust-ibapi recorded this sequence: 5 openOrder, 3 orderStatus, 11 execDetails, 59 commissionReport.
        assert [kind for kind, _ in messages] == ["5", "3", "11", "5", "3", "5", "59"]
        assert [status for kind, status in messages if kind == "3"] == ["PreSubmitted", "Filled"]

    async def test_it_moves_positions_cash_and_portfolio(self, connected: IB) -> None:
        trade = connected.placeOrder(APPLE, MarketOrder("SELL", 150))
        await charged(trade)
        await connected.reqOpenOrdersAsync()
        price = trade.fills[0].execution.price
        held = {item.contract.symbol: item for item in connected.positions()}
        assert held["AAPL"].position == -50
        assert trade.fills[0].commissionReport.realizedPNL == pytest.approx(100 * (price - 201.88) - 1.0 * 100 / 150)
        (portfolio,) = (item for item in connected.portfolio() if item.contract.symbol == "AAPL")
        assert portfolio.position == -50
        cash = {item.tag: item.value for item in connected.accountValues()}["TotalCashValue"]
        assert float(cash) == pytest.approx(1_000_000 + 150 * price - 1.0, abs=0.01)

    async def test_a_position_that_was_closed_is_reported_as_none(self, gateway: Gateway, connected: IB) -> None:
        trade = connected.placeOrder(APPLE, MarketOrder("SELL", 100))
        await charged(trade)
        await connected.reqPositionsAsync()
        assert [item.contract.symbol for item in connected.positions()] == ["ES"]
        assert [held.symbol for held in gateway.positions] == ["ES"]

    async def test_partial_fills_by_the_size_that_is_quoted(self) -> None:
        async with Gateway(tick_interval=0.002, partial_fills=True) as gateway:
            order = gateway.place_order("AAPL", "BUY", 2000)
            assert 0 < order.filled <= 900
            await gateway.wait_for(lambda gateway: gateway.orders[0].status == "Filled")
            assert len(gateway.executions) >= 3
            assert sum(item.shares for item in gateway.executions) == 2000


class TestStops:
    async def test_a_stop_waits_for_the_market_and_fills(self, gateway: Gateway, connected: IB) -> None:
        bid, _ = bid_and_ask(gateway)
        trade = connected.placeOrder(APPLE, StopOrder("SELL", 100, round(bid - 0.02, 2)))
        await reach(trade, "PreSubmitted", "Filled")
        await reach(trade, "Filled")

    async def test_a_stop_far_away_is_left_alone(self, gateway: Gateway, connected: IB) -> None:
        trade = connected.placeOrder(APPLE, StopOrder("SELL", 100, 100.0))
        await reach(trade, "PreSubmitted")
        ticks = gateway._state.loop.time() + 0.1
        await gateway.wait_for(lambda gateway: gateway._state.loop.time() > ticks)
        assert (trade.orderStatus.status, trade.orderStatus.whyHeld) == ("PreSubmitted", "trigger")

    async def test_a_stop_limit_becomes_a_limit_order(self, gateway: Gateway, connected: IB) -> None:
        bid, _ = bid_and_ask(gateway)
        trade = connected.placeOrder(APPLE, StopLimitOrder("SELL", 100, 300.0, round(bid - 0.02, 2)))
        await reach(trade, "Submitted")
        assert not trade.fills

    async def test_a_trailing_stop_follows_the_market_one_way(self, gateway: Gateway, connected: IB) -> None:
        trade = connected.placeOrder(APPLE, Order(action="SELL", totalQuantity=100, orderType="TRAIL", auxPrice=0.05))
        stops: list[float] = []

        def look(gateway: Gateway) -> bool:
            (order,) = gateway.orders
            if order.stop_price is not None:
                stops.append(order.stop_price)
            return order.status == "Filled"

        await gateway.wait_for(lambda gateway: gateway.orders)
        await gateway.wait_for(look)
        await reach(trade, "Filled")
        assert stops == sorted(stops)
        assert trade.fills[0].execution.price <= stops[-1] + 0.02


class TestGroups:
    def bracket(self, connected: IB, limit: float, profit: float, loss: float) -> list[Trade]:
        return [connected.placeOrder(APPLE, order) for order in connected.bracketOrder("BUY", 100, limit, profit, loss)]

    async def test_a_bracket_leaves_when_its_last_child_is_transmitted(self, gateway: Gateway, connected: IB) -> None:
        orders = connected.bracketOrder("BUY", 100, 100.0, 400.0, 50.0)
        parent, profit = (connected.placeOrder(APPLE, order) for order in orders[:2])
        assert await connected.reqOpenOrdersAsync() == []
        assert [order.status for order in gateway.orders] == ["PendingSubmit"] * 2
        loss = connected.placeOrder(APPLE, orders[2])
        await reach(parent, "Submitted")
        await reach(loss, "PreSubmitted")
        assert [trade.orderStatus.whyHeld for trade in (parent, profit, loss)] == ["", "child", "child,trigger"]
        assert {order.terms.oca_group for order in gateway.orders[1:]} == {str(parent.order.permId)}

    async def test_its_children_work_once_the_parent_is_filled_and_end_each_other(
        self, gateway: Gateway, connected: IB
    ) -> None:
        parent, profit, loss = self.bracket(connected, 100.0, 400.0, 50.0)
        await reach(parent, "Submitted")
        with pytest.raises(ValueError, match="child"):
            gateway.fill(profit.order.orderId)
        gateway.fill(parent.order.orderId)
        await reach(profit, "Submitted")
        gateway.fill(profit.order.orderId)
        await reach(profit, "Filled")
        await reach(loss, "Cancelled")

    async def test_its_children_end_with_the_parent(self, connected: IB) -> None:
        parent, profit, loss = self.bracket(connected, 100.0, 400.0, 50.0)
        await reach(parent, "Submitted")
        connected.cancelOrder(parent.order)
        for trade in (parent, profit, loss):
            await reach(trade, "Cancelled")

    async def test_a_fill_in_an_oca_group_cancels_or_reduces_the_others(self, gateway: Gateway, connected: IB) -> None:
        one, two = (LimitOrder("BUY", 100, 100.0, ocaGroup="g", ocaType=kind) for kind in (3, 3))
        first, second = connected.placeOrder(APPLE, one), connected.placeOrder(APPLE, two)
        await reach(second, "Submitted")
        gateway.fill(first.order.orderId, 40)
        await gateway.wait_for(lambda gateway: gateway.orders[1].quantity == 60)
        gateway.fill(first.order.orderId)
        await reach(second, "Cancelled")
        assert first.orderStatus.status == "Filled"


class TestWhatIf:
    async def test_it_answers_with_margins_and_leaves_no_order(self, gateway: Gateway, connected: IB) -> None:
        state = await asyncio.wait_for(connected.whatIfOrderAsync(APPLE, MarketOrder("BUY", 100)), TIMEOUT)
        assert float(state.initMarginChange) == pytest.approx(100 * 230 * 0.25, rel=0.01)
        assert float(state.initMarginAfter) > float(state.initMarginBefore) > 0
        assert (state.commission, state.commissionCurrency) == (1.0, "USD")
        assert gateway.orders == []
        assert await connected.reqOpenOrdersAsync() == []


class TestRealTraces:
    """A market order of rust-ibapi 2.x to a gateway at version 173, 2025-04-15 (its `src/orders` tests)."""

    UNSET = "1.7976931348623157E308"
    OPEN_ORDER = (
        "5|5|265598|AAPL|STK||0|?||SMART|USD|AAPL|NMS|BUY|100|MKT|0.0|0.0|DAY||DU1234567||0||100|{perm}|0|0|0||"
        "{perm}.0/DU1234567/100||||||||||0||-1|0||||||2147483647|0|0|0||3|0|0||0|0||0|None||0||||?|0|0||0|0||||||0|0|0|"
        "2147483647|2147483647|||0||IB|0|0||0|0|{status}|{unset}|{unset}|{unset}|{unset}|{unset}|{unset}|{unset}|"
        "{unset}|{unset}|{commission}|||{currency}||0|0|0|None|{unset}|{unset}|{unset}|{unset}|{unset}|{unset}|0||||0|"
        "1|0|0|0|||0||100|0.02||"
    )

    async def test_the_answers_are_the_same_field_by_field(self, connect, plain_order) -> None:
        async with Gateway(server_version=173, next_order_id=5) as gateway:
            client = await connect(gateway.port, 100, highest=173)
            fields = plain_order("MKT", "")
            client.send(3, 5, *fields[:37], "", *fields[37:])  # versions before 177 have a field faProfile
            lines = await client.until(59)
            (order,) = gateway.orders
            price = f"{order.average_price}"
            execution = gateway.executions[0]

        def opened(status: str, commission: str = "", currency: str = "") -> list[str]:
            line = self.OPEN_ORDER.format(
                perm=order.perm_id, status=status, unset=self.UNSET, commission=commission, currency=currency
            )
            return line.split("|")

        assert lines[0] == opened("PreSubmitted")
        assert lines[1] == f"3|5|PreSubmitted|0|100|0|{order.perm_id}|0|0|100||0".split("|")
        time = lines[2][15]
        assert "|".join(lines[2]) == (
            f"11|-1|5|265598|AAPL|STK||0.0|||NASDAQ|USD|AAPL|NMS|{execution.exec_id}|{time}|DU1234567|NASDAQ|BOT|100|"
            f"{price}|{order.perm_id}|100|0|100|{price}|||||2"
        )
        assert lines[3] == opened("Filled")
        short = f"{order.average_price:g}"
        assert lines[4] == f"3|5|Filled|100|0|{short}|{order.perm_id}|0|{short}|100||0".split("|")
        assert lines[5] == opened("Filled", "1.0", "USD")
        assert lines[6] == f"59|1|{execution.exec_id}|1.0|USD|{self.UNSET}|{self.UNSET}|".split("|")
