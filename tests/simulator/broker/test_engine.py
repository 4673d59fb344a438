"""The order engine and the portfolio alone: no gateway, no clock, a market that the test controls."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.simulator.broker.order import Order, Terms
from ibkr.simulator.broker.order_engine import OrderEngine
from ibkr.simulator.broker.order_events import Charged, Executed, OrderChanged, OrderEvent, OrderNotice
from ibkr.simulator.broker.portfolio import Portfolio, commission
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.instrument_loader import load_instruments
from ibkr.simulator.market.quotes import Quote

BY_SYMBOL = load_instruments().by_symbol
APPLE = BY_SYMBOL["AAPL"]


class World:
    """An engine, and a market whose prices the test sets."""

    def __init__(self, partial_fills: bool = False) -> None:
        self.last = 230.0
        self.size = 100
        self.now = 1_700_000_000.0
        self.ids = 0
        self.engine = OrderEngine(Portfolio(("DU1",), {}, BY_SYMBOL), self.quote, lambda: self.now, partial_fills)

    def quote(self, _: Instrument) -> Quote:
        last, size = self.last, self.size
        return Quote(last - 0.01, last + 0.01, last, size, size, 100, 1, high=last, low=last)

    def place(self, action: str, quantity: float, kind: str, **terms: object) -> tuple[Order, list[OrderEvent]]:
        self.ids += 1
        wish = Terms(action, float(quantity), kind, **terms)  # type: ignore[arg-type]
        placed = self.engine.place(Order(0, 1, self.ids, "DU1", APPLE, "SMART", wish))
        assert isinstance(placed, Order), placed
        return placed, self.engine.transmit(placed.perm_id)

    def move(self, last: float) -> list[OrderEvent]:
        self.last = last
        return self.engine.on_quote(APPLE)

    def order(self, placed: Order) -> Order:
        return self.engine.orders[placed.perm_id]


def statuses(events: list[OrderEvent]) -> list[str]:
    return [event.order.status for event in events if isinstance(event, OrderChanged)]


class TestTriggers:
    @pytest.mark.parametrize(
        ("action", "kind", "terms", "before", "after", "price"),
        [
            ("BUY", "LMT", {"limit_price": 229.0}, 229.5, 228.9, 228.91),
            ("SELL", "LMT", {"limit_price": 231.0}, 230.5, 231.2, 231.19),
            ("BUY", "STP", {"aux_price": 231.0}, 230.99, 231.0, 231.01),
            ("SELL", "STP", {"aux_price": 229.0}, 229.01, 229.0, 228.99),
            ("BUY", "STP LMT", {"aux_price": 231.0, "limit_price": 231.5}, 230.9, 231.2, 231.21),
            ("BUY", "MIT", {"aux_price": 229.0}, 229.01, 229.0, 229.01),
            ("SELL", "MIT", {"aux_price": 231.0}, 230.99, 231.0, 230.99),
            ("BUY", "LIT", {"aux_price": 229.0, "limit_price": 229.5}, 229.01, 229.0, 229.01),
            ("SELL", "LIT", {"aux_price": 231.0, "limit_price": 230.5}, 230.99, 231.2, 231.19),
            ("SELL", "TRAIL", {"aux_price": 1.0}, 229.01, 229.0, 228.99),
            ("SELL", "TRAIL", {"trailing_percent": 1.0}, 227.71, 227.7, 227.69),
            ("SELL", "TRAIL", {"aux_price": 1.0, "trail_stop_price": 229.5}, 229.51, 229.5, 229.49),
            ("BUY", "TRAIL LIMIT", {"aux_price": 1.0, "limit_offset": 0.5}, 230.99, 231.0, 231.01),
        ],
    )
    def test_it_trades_at_its_price_and_not_before(
        self, action: str, kind: str, terms: dict[str, float], before: float, after: float, price: float
    ) -> None:
        world = World()
        order, _ = world.place(action, 100, kind, **terms)
        world.move(before)
        assert world.order(order).filled == 0
        world.move(after)
        assert (world.order(order).status, world.order(order).average_price) == ("Filled", pytest.approx(price))

    def test_a_trailing_stop_moves_with_the_market_and_never_back(self) -> None:
        world = World()
        order, _ = world.place("SELL", 100, "TRAIL", aux_price=1.0)
        stops = []
        for last in (230.0, 232.0, 231.5, 233.0, 232.5):
            world.move(last)
            stops.append(world.order(order).stop_price)
        assert stops == [229.0, 231.0, 231.0, 232.0, 232.0]

    def test_the_limit_of_a_trailing_order_hangs_on_its_stop(self) -> None:
        world = World()
        order, _ = world.place("SELL", 100, "TRAIL LIMIT", aux_price=1.0, limit_offset=0.5)
        assert (world.order(order).stop_price, world.order(order).limit_price) == (229.0, 228.5)
        world.move(233.0)
        assert (world.order(order).stop_price, world.order(order).limit_price) == (232.0, 231.5)
        world.move(230.0)
        assert (world.order(order).status, world.order(order).is_triggered) == ("Submitted", True)

    def test_an_order_with_conditions_rests_until_it_is_filled_by_hand(self) -> None:
        world = World()
        order, events = world.place("BUY", 100, "MKT", sent={"good_after_time": "20990101 00:00:00 UTC"})
        assert statuses(events) == ["PreSubmitted"]
        assert world.move(100.0) == []
        world.engine.fill(order.perm_id, 100, 100.0)
        assert world.order(order).status == "Filled"

    @pytest.mark.parametrize(
        ("kind", "action", "limit"),
        [
            ("SNAP MKT", "BUY", 230.01),
            ("SNAP MKT", "SELL", 229.99),
            ("SNAP PRIM", "BUY", 229.99),
            ("SNAP PRIM", "SELL", 230.01),
            ("SNAP MID", "BUY", 230.0),
        ],
    )
    def test_a_snapped_order_keeps_the_price_that_it_began_with(self, kind: str, action: str, limit: float) -> None:
        world = World()
        order, _ = world.place(action, 100, kind)
        world.move(230.0)
        assert world.order(order).limit_price == limit
        other, _ = world.place(action, 100, kind, aux_price=0.1)  # with this offset, the price is away from the market
        away = -0.1 if action == "BUY" else 0.1
        world.move(230.0 + 3 * away)
        assert world.order(other).limit_price == pytest.approx(limit + away)

    def test_a_pegged_order_does_not_trade_by_itself(self) -> None:
        world = World()
        order, _ = world.place("BUY", 100, "MIDPRICE", limit_price=235.0)
        world.move(200.0)
        assert world.order(order).status == "Submitted"

    def test_a_stop_limit_that_is_passed_by_rests_at_its_limit(self) -> None:
        world = World()
        order, _ = world.place("BUY", 100, "STP LMT", aux_price=231.0, limit_price=231.1)
        assert statuses(world.move(235.0)) == ["Submitted"]
        assert world.order(order).is_triggered
        assert statuses(world.move(231.0)) == ["Filled"]


class TestTimeInForce:
    def test_what_is_not_filled_at_once_is_cancelled(self) -> None:
        world = World(partial_fills=True)
        order, events = world.place("BUY", 150, "MKT", tif="IOC")
        assert (world.order(order).filled, world.order(order).status) == (100, "Cancelled")
        assert [event.code for event in events if isinstance(event, OrderNotice)] == [202]

    def test_all_or_nothing(self) -> None:
        world = World(partial_fills=True)
        order, _ = world.place("BUY", 150, "MKT", tif="FOK")
        assert (world.order(order).filled, world.order(order).status) == (0, "Cancelled")
        order, _ = world.place("BUY", 100, "MKT", tif="FOK")
        assert world.order(order).status == "Filled"

    def test_nothing_trades_with_an_empty_book(self) -> None:
        world = World(partial_fills=True)
        world.size = 0
        order, events = world.place("BUY", 250, "MKT")
        assert statuses(events) == ["PreSubmitted", "Submitted"]
        world.size = 250
        assert statuses(world.move(231.0)) == ["Filled"]
        assert world.order(order).filled == 250

    def test_partial_fills_go_on_with_each_quote(self) -> None:
        world = World(partial_fills=True)
        order, events = world.place("BUY", 250, "MKT")
        assert statuses(events) == ["PreSubmitted", "Submitted"]
        world.size = 200
        assert statuses(world.move(231.0)) == ["Filled"]
        assert world.order(order).average_price == pytest.approx((100 * 230.01 + 150 * 231.01) / 250)


class TestGroups:
    def test_a_fill_in_a_group_of_type_1_cancels_the_others(self) -> None:
        world = World()
        one, _ = world.place("BUY", 100, "LMT", limit_price=200.0, oca_group="g", oca_type=1)
        two, _ = world.place("BUY", 100, "LMT", limit_price=201.0, oca_group="g", oca_type=1)
        other, _ = world.place("BUY", 100, "LMT", limit_price=201.0, oca_group="h", oca_type=1)
        world.engine.fill(one.perm_id, 10, 200.0)
        assert [world.order(item).status for item in (one, two, other)] == ["Submitted", "Cancelled", "Submitted"]

    def test_an_order_may_end_another_in_the_same_move(self) -> None:
        world = World()
        one, _ = world.place("BUY", 100, "LMT", limit_price=229.0, oca_group="g", oca_type=1)
        two, _ = world.place("BUY", 100, "LMT", limit_price=229.0, oca_group="g", oca_type=1)
        world.move(228.0)
        assert [world.order(item).status for item in (one, two)] == ["Filled", "Cancelled"]
        assert len(world.engine.executions) == 1

    def test_a_change_that_is_not_transmitted_changes_nothing(self) -> None:
        world = World()
        order, _ = world.place("BUY", 100, "LMT", limit_price=200.0)
        world.ids -= 1
        world.place("BUY", 100, "LMT", limit_price=300.0, transmit=False)
        assert world.move(229.0) == []
        assert world.order(order).terms.limit_price == 200.0

    def test_a_family_whose_parent_is_rejected_or_filled_at_once(self) -> None:
        world = World()
        parent, _ = world.place("BUY", 1_000_000, "MKT", transmit=False)
        child, events = world.place("SELL", 100, "STP", aux_price=200.0, parent_id=parent.order_id)
        assert statuses(events) == ["PendingSubmit", "Inactive", "Cancelled"]
        assert world.order(child).status == "Cancelled"
        parent, _ = world.place("BUY", 100, "MKT", transmit=False)
        child, events = world.place("SELL", 100, "STP", aux_price=200.0, parent_id=parent.order_id)
        assert statuses(events) == ["PreSubmitted", "Filled", "PreSubmitted"]
        assert world.order(child).why_held == "trigger"

    def test_children_leave_with_the_last_of_the_family(self) -> None:
        world = World()
        parent, events = world.place("BUY", 100, "LMT", limit_price=229.0, transmit=False)
        child, more = world.place("SELL", 100, "LMT", limit_price=240.0, parent_id=parent.order_id)
        assert events == []
        assert statuses(more) == ["PreSubmitted", "Submitted", "PreSubmitted"]
        assert statuses(world.move(228.0)) == ["Filled", "Submitted"]
        assert world.order(child).status == "Submitted"
        assert world.engine.cancel(child.perm_id)


class TestBook:
    def test_a_round_trip_leaves_what_it_cost(self) -> None:
        world = World()
        cash = world.engine.portfolio.cash("DU1")
        world.place("BUY", 100, "MKT")
        world.place("SELL", 200, "MKT")
        held = world.engine.portfolio.position("DU1", APPLE.con_id)
        assert held is not None
        assert (held.quantity, held.average_cost) == (0, 0.0)
        assert world.engine.portfolio.cash("DU1") - cash == pytest.approx(200 * 229.99 - 100 * 230.01 - 2.0)

    @given(
        st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 300), st.integers(200, 260)), max_size=8)
    )
    def test_cash_profit_and_positions_agree_whatever_is_traded(self, trades: list[tuple[str, int, int]]) -> None:
        world = World()
        portfolio = world.engine.portfolio
        start = portfolio.net_liquidation("DU1")
        for action, quantity, last in trades:
            world.last = float(last)
            world.place(action, quantity, "MKT")
        portfolio.prices[APPLE.con_id] = world.last
        held = portfolio.position("DU1", APPLE.con_id)
        assert held is not None
        assert portfolio.net_liquidation("DU1") - start == pytest.approx(portfolio.daily_pnl("DU1"))
        # The value of a position is its cost, plus what it has gained or lost since it was bought.
        gained = portfolio.realized_pnl("DU1") + portfolio.unrealized_pnl("DU1")
        assert gained - (100 * (230.0 - 201.88) - 500) == pytest.approx(portfolio.daily_pnl("DU1"))
        assert held.quantity == 100 + sum(quantity if action == "BUY" else -quantity for action, quantity, _ in trades)

    def test_futures_settle_into_cash_and_count_no_market_value(self) -> None:
        portfolio = Portfolio(("DU1",), {}, BY_SYMBOL)
        assert (portfolio.cash("DU1"), portfolio.stock_value("DU1")) == (1_000_000, 23_000)
        portfolio.prices[BY_SYMBOL["ES"].con_id] = 5610.0  # the account is short one contract
        assert (portfolio.cash("DU1"), portfolio.net_liquidation("DU1")) == (1_000_000 - 500, 1_023_000 - 500)

    @given(st.lists(st.integers(1, 99), min_size=1, max_size=6))
    def test_an_order_adds_up_however_it_is_filled(self, parts: list[int]) -> None:
        world = World()
        order, _ = world.place("BUY", sum(parts), "LMT", limit_price=1.0)
        events = [event for part in parts for event in world.engine.fill(order.perm_id, part, 100.0 + part)]
        executions = [event.execution for event in events if isinstance(event, Executed)]
        charges = [event.execution for event in events if isinstance(event, Charged)]
        assert executions == charges
        assert len({item.exec_id for item in executions}) == len(parts)
        assert executions[-1].order.filled == sum(item.shares for item in executions)
        assert statuses(events) == ["Submitted"] * (len(parts) - 1) + ["Filled"]


@pytest.mark.parametrize(
    ("kind", "quantity", "price", "wanted"),
    [
        ("STK", 100, 230.0, 1.0),
        ("STK", 1000, 230.0, 5.0),
        ("STK", 10, 1.0, 0.1),
        ("FUT", 2, 5600.0, 4.5),
        ("OPT", 10, 3.0, 6.5),
    ],
)
def test_commission(kind: str, quantity: float, price: float, wanted: float) -> None:
    assert commission(replace(APPLE, sec_type=kind), quantity, price) == pytest.approx(wanted)
