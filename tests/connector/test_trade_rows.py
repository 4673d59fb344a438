"""Our code handles orders and executions as ib_async does: objects, events and log lines are the same."""

from __future__ import annotations

import copy
import datetime as dt
import functools
import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ib_async import IB, Contract, Execution, LimitOrder, MarketOrder, Order, OrderState, Stock, Trade
from ib_async.wrapper import Wrapper

from ibkr.observe import log_filter
from ibkr.observe.log_filter import log_rate_limit
from ibkr.session.library import trade_rows
from ibkr.session.library.hooks import StatusRow
from ibkr.session.library.trade_rows import is_library_method, place_order
from tests.connector.adopted_ib import adopted

NOW = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
UNSET = 2**31 - 1
IDS, PERM_IDS, CLIENTS = st.sampled_from([1, 2, 0, UNSET]), st.sampled_from([0, 71, 72]), st.sampled_from([3, 0, 9])
STATES = st.sampled_from(["PreSubmitted", "Submitted", "Filled", "Cancelled", "Inactive", "PendingSubmit"])
CONTRACTS = st.builds(
    Contract, conId=st.sampled_from([0, 5]), secType=st.sampled_from(["STK", "BAG", "", "NEW", "CASH"])
)
ORDERS = st.builds(
    Order,
    orderId=IDS,
    permId=PERM_IDS,
    clientId=CLIENTS,
    lmtPrice=st.sampled_from([1.5, 0.0]),
    account=st.sampled_from(["?", "DU1"]),
    orderRef=st.sampled_from(["", "?"]),
    whatIf=st.sampled_from([False, False, False, True]),
    algoParams=st.just([]),
)
OPEN_ORDERS = st.tuples(
    st.just("openOrder"), IDS, CONTRACTS, ORDERS, st.builds(OrderState, status=STATES, initMarginChange=st.just("1"))
)
STATUSES = st.tuples(
    st.just("orderStatus"),
    st.builds(
        lambda order_id, status, filled, perm_id, client_id: StatusRow(
            order_id, status, filled, 1.0, 1.5, perm_id, 0, 1.5, client_id, "", 0.0
        ),
        *(IDS, STATES, st.sampled_from([0.0, 1.0]), PERM_IDS, CLIENTS),
    ),
)
EXECUTIONS = st.tuples(
    st.just("execDetails"),
    st.sampled_from([-1, 50]),
    CONTRACTS,
    st.builds(
        Execution,
        execId=st.sampled_from(["a", "b"]),
        orderId=IDS,
        permId=PERM_IDS,
        clientId=CLIENTS,
        shares=st.just(2.0),
        time=st.just(NOW),
    ),
)
PLACED = st.tuples(
    st.just("placeOrder"),
    st.builds(Stock, st.just("AAPL")),
    st.builds(MarketOrder, st.just("BUY"), st.just(1.0), orderId=IDS)
    | st.builds(LimitOrder, st.just("SELL"), st.just(1.0), st.just(2.0)),
)
SUBMITTED = ("orderStatus", StatusRow(1, "Submitted", 0.0, 1.0, 0.0, 71, 0, 0.0, 3, "", 0.0))
ORDER = ("placeOrder", Stock("AAPL"), Order(action="BUY"))
CHANGE = ("placeAgain", None, None)
STEPS = st.lists(st.one_of(OPEN_ORDERS, STATUSES, EXECUTIONS, PLACED, st.just(CHANGE)), max_size=8)


class Taken(logging.Handler):
    """What an ``IB`` object holds, reports and logs."""

    def __init__(self) -> None:
        super().__init__()
        self.ib, self.log = IB(), []
        self.last: Trade | None = None
        wrapper = self.ib.wrapper
        wrapper.clientId, wrapper.lastTime, wrapper.defaultTimezone = 3, NOW, dt.UTC
        wrapper.startReq("openOrders")
        wrapper.startReq(50)
        numbers = itertools.count(1)
        client: Any = self.ib.client
        client.placeOrder, client.getReqId = lambda *arguments: self.log.append(repr(arguments)), numbers.__next__
        events = (self.ib.openOrderEvent, self.ib.orderStatusEvent, self.ib.newOrderEvent, self.ib.orderModifyEvent)
        for event in (*events, self.ib.execDetailsEvent):
            event.connect(functools.partial(self._tell, event.name()), keep_ref=True)

    def emit(self, record: logging.LogRecord) -> None:
        self.log.append(without_time(record.getMessage()))

    def _tell(self, name: str, *told: Any) -> None:
        self.log.append(f"{name}: {without_time(repr(told))}")
        for event in ("statusEvent", "fillEvent", "filledEvent", "cancelledEvent", "modifyEvent"):
            if not getattr(told[0], event):
                getattr(told[0], event).connect(lambda *_, name=event: self.log.append(name), keep_ref=True)

    def play(self, steps: list[tuple[Any, ...]], methods: dict[str, Callable[..., Any]]) -> list[str]:
        logger = logging.getLogger("ib_async")
        level = logger.level
        logger.setLevel(logging.INFO)  # this also clears the levels that loggers cached in earlier tests
        logger.addHandler(self)
        try:
            for name, *arguments in copy.deepcopy(steps):
                if name == "placeAgain":
                    name, arguments = "placeOrder", [self.last and self.last.contract, self.last and self.last.order]
                try:
                    if name != "placeOrder" or arguments[0]:
                        taken = methods[name](*arguments)
                        self.last = taken if isinstance(taken, Trade) else self.last
                except Exception as error:
                    self.log.append(type(error).__name__)
        finally:
            logger.removeHandler(self)
            logger.setLevel(level)
        wrapper = self.ib.wrapper
        held = {**wrapper.trades, **wrapper.permId2Trade, **wrapper.fills, **wrapper._results}
        return [*self.log, *(f"{key}: {type(held[key]).__name__} {without_time(in_full(held[key]))}" for key in held)]


def in_full(obj: Any) -> str:
    parts = [vars(part) for part in (obj.contract, obj.order, obj.orderStatus)] if isinstance(obj, Trade) else []
    return f"{obj!r} {parts} {type(obj.contract) if parts else ''}"


def without_time(text: str) -> str:
    """Return the text without times, because the two orders are placed at different times."""
    head, *rest = text.split("datetime.datetime(")
    return head + "".join(part.partition("utc)")[2] for part in rest)


@pytest.fixture(autouse=True)
async def loop() -> None:
    """The library's requests make futures."""


@pytest.fixture(autouse=True)
def whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lines are not cut: the place of the cut would depend on the number of digits in a time."""
    monkeypatch.setattr(log_filter, "_MAX_LINE_LENGTH", 10**6)


@given(STEPS)
@example([ORDER, SUBMITTED, CHANGE, SUBMITTED, SUBMITTED])
def test_objects_events_and_log_are_the_librarys(steps: list[tuple[Any, ...]]) -> None:
    ours, theirs = Taken(), Taken()
    library = adopted(ours.ib)
    by_us = {
        "openOrder": library.wrapper.read_open_order,
        "orderStatus": library.wrapper.read_order_status,
        "execDetails": library.wrapper.read_execution,
        "placeOrder": lambda contract, order: place_order(library.ib, contract, order),
    }
    wrapper = theirs.ib.wrapper
    by_library: dict[str, Callable[..., Any]] = {
        "openOrder": wrapper.openOrder,
        "orderStatus": lambda row: wrapper.orderStatus(*row),
        "execDetails": wrapper.execDetails,
        "placeOrder": theirs.ib.placeOrder,
    }
    log_rate_limit._places.clear()
    told = ours.play(steps, by_us)
    log_rate_limit._places.clear()
    assert told == theirs.play(steps, by_library)


@given(st.data())
def test_fields_get_the_types_that_the_library_gives_them(data: st.DataObject) -> None:
    decoder = IB().client.decoder
    for make in (Order, Contract, Execution):
        texts = st.sampled_from(["", "0", "1", "5", "1.5", "x", None])
        obj: Any = make()
        for name in data.draw(st.lists(st.sampled_from(sorted(vars(obj))), max_size=6)):
            setattr(obj, name, data.draw(texts))
        other, ends = copy.copy(obj), []
        for parse, each in ((trade_rows.parse, obj), (decoder.parse, other)):
            try:
                parse(each)
                ends.append("")
            except (ValueError, TypeError) as error:
                ends.append(repr(error))
        assert ends[0] == ends[1]
        assert ends[0] or repr(vars(obj)) == repr(vars(other))


def test_what_a_program_has_replaced_is_called(monkeypatch) -> None:
    class Own(IB):
        def placeOrder(self, contract: Contract, order: Order) -> Trade:
            return super().placeOrder(contract, order)

    assert is_library_method(adopted(IB()).ib, "placeOrder")
    assert not is_library_method(adopted(Own()).ib, "placeOrder")
    monkeypatch.setattr(Wrapper, "orderStatus", lambda *_: None)
    assert not is_library_method(adopted(IB()).wrapper, "orderStatus")


def test_no_text_is_made_that_nobody_reads() -> None:
    class Unreadable(Order):
        def __repr__(self) -> str:
            raise AssertionError("somebody has made the text of an order")

    ib = Taken().ib
    client: Any = ib.client
    client.placeOrder = lambda *_: None
    trade = place_order(adopted(ib).ib, Stock("AAPL"), Unreadable(action="BUY"))
    assert trade.order.orderId == 1
