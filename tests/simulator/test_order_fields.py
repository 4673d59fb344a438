"""The order messages, field by field as recorded from real gateways."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibkr.simulator import Gateway
from ibkr.simulator.broker.order import Order, Terms
from ibkr.simulator.market.instrument_loader import load_instruments
from ibkr.simulator.orders import order_fields
from ibkr.wire.layout import Field, Item, Repeat, flatten
from ibkr.wire.order_messages import COMPLETED_ORDER, EXEC_DETAILS, OPEN_ORDER
from ibkr.wire.order_request_layouts import PLACE_ORDER

from .conftest import Connect, RawClient
from .order_helpers import order_request, read

MASTER = 9
UNSET_DOUBLE = 1.7976931348623157e308

CHANGES = [
    pytest.param({"order_type": "LMT", "lmt_price": 100.0}, {"lmt_price": 101.5}, id="LMT"),
    pytest.param({"order_type": "STP", "aux_price": 400.0}, {"aux_price": 410.0}, id="STP"),
    pytest.param(
        {"order_type": "STP LMT", "aux_price": 400.0, "lmt_price": 401.0},
        {"aux_price": 410.0, "lmt_price": 411.5},
        id="STP LMT",
    ),
    pytest.param({"order_type": "MIT", "aux_price": 100.0}, {"aux_price": 101.0}, id="MIT"),
    pytest.param(
        {"order_type": "LIT", "aux_price": 100.0, "lmt_price": 100.5},
        {"aux_price": 101.0, "lmt_price": 101.5},
        id="LIT",
    ),
    pytest.param({"order_type": "TRAIL", "aux_price": 50.0}, {"aux_price": 60.0}, id="TRAIL"),
    pytest.param(
        {"order_type": "TRAIL LIMIT", "aux_price": 50.0, "lmt_price_offset": 1.0},
        {"aux_price": 60.0, "lmt_price_offset": 2.0},
        id="TRAIL LIMIT",
    ),
    pytest.param(
        {"order_type": "REL", "lmt_price": 100.0, "aux_price": 0.05}, {"lmt_price": 101.0, "aux_price": 0.1}, id="REL"
    ),
]


async def opened(client: RawClient, message: tuple[object, ...] | None = None) -> dict[str, Any]:
    """The next openOrder, after a request if one is given."""
    if message:
        client.send(*message)
    return read(OPEN_ORDER, (await client.until(5))[-1])


class TestChangedPrice:
    @pytest.mark.parametrize(("first", "then"), CHANGES)
    async def test_every_message_tells_the_new_price(
        self, connect: Connect, first: dict[str, object], then: dict[str, object]
    ) -> None:
        async with Gateway(master_client_id=MASTER) as gateway:
            mine, master, other = [await connect(gateway.port, client_id) for client_id in (1, MASTER, 2)]
            mine.send_raw(order_request(1, **first))
            await mine.caught_up()
            await master.caught_up()
            mine.send_raw(order_request(1, **{**first, **then}))
            told = {
                "openOrder": await opened(mine),
                "to the master": await opened(master),
                "reqOpenOrders": await opened(mine, (5, 1)),
                "reqAllOpenOrders": await opened(other, (16, 1)),
            }
            gateway.cancel_order(1)
            other.send(99, 0)
            told["reqCompletedOrders"] = read(COMPLETED_ORDER, (await other.until(101))[-1])
        for message, values in told.items():
            assert {name: values[name] for name in then} == then, message

    async def test_a_trailing_stop_that_has_moved_is_told_where_it_is_now(
        self, gateway: Gateway, connect: Connect
    ) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, action="SELL", order_type="TRAIL LIMIT", aux_price=20.0, lmt_price_offset=1.0))
        first = await opened(client)
        await gateway.wait_for(lambda gateway: gateway.orders[0].stop_price > first["stop_price"])
        now = await opened(client, (5, 1))
        assert now["stop_price"] == now["trail_stop_price"] > first["stop_price"]
        assert now["lmt_price"] == pytest.approx(now["stop_price"] - 1.0)


# --- terms that the client has sent ---------------------------------------------------------------

_SENT = {item.name: item for item in flatten(PLACE_ORDER.fields) if isinstance(item, Repeat) or item.constant is None}
_NOT_TERMS = {"order_id", "status", "perm_id", "shares_allocation", "what_if", "transmit"}
_OF_CONTRACT = {item.name for item in flatten(PLACE_ORDER.fields)[1:15]}
_TERMS = {item.name for item in flatten(OPEN_ORDER.fields)} & _SENT.keys() - _NOT_TERMS - _OF_CONTRACT
_LIVE = {"lmt_price", "trail_stop_price", "order_type", "tif", "account", "total_quantity", "action"}
"""Fields that describe the state of the order in the market. Other tests check them."""

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(1, 99),
    "float": st.integers(1, 99).map(float),
    "size": st.integers(1, 99).map(float),
    "bool": st.just(True),
    "text": st.text("abcXYZ 19.", min_size=1, max_size=8),
}


def _one(item: Item) -> st.SearchStrategy[Any]:
    if isinstance(item, Field):
        return _VALUES[item.kind]
    assert isinstance(item, Repeat)
    return st.lists(
        st.fixed_dictionaries({field.name: _one(field) for field in flatten(item.fields)}), min_size=1, max_size=2
    )


@given(sent=st.fixed_dictionaries({name: _one(_SENT[name]) for name in sorted(_TERMS - _LIVE)}))
@settings(max_examples=50)
def test_open_order_tells_every_term_that_the_client_has_sent(sent: dict[str, Any]) -> None:
    terms = Terms(
        "BUY", 100.0, "LMT", 100.0, sent["aux_price"], limit_offset=sent["lmt_price_offset"],
        trailing_percent=sent["trailing_percent"], oca_group=sent["oca_group"], oca_type=sent["oca_type"],
        parent_id=sent["parent_id"], order_ref=sent["order_ref"], sent=sent,
    )  # fmt: skip
    apple = load_instruments().by_symbol["AAPL"]
    told = order_fields.open_order(Order(1, 1, 1, "DU1", apple, "SMART", terms))
    assert {name: (told[name], value) for name, value in sent.items() if told[name] != value} == {}


async def test_the_terms_of_an_adjustable_hedged_order_come_back_over_the_socket(
    gateway: Gateway, connect: Connect
) -> None:
    sent: dict[str, object] = {
        "lmt_price": 100.0,
        "outside_rth": True,
        "good_till_date": "20990101 00:00:00 UTC",
        "tif": "GTD",
        "order_ref": "mine",
        "model_code": "M",
        "min_qty": 10,
        "percent_offset": 0.0,
        "display_size": 10,
        "discretionary_amt": 0.5,
        "adjusted_order_type": "STP",
        "trigger_price": 120.0,
        "adjusted_stop_price": 110.0,
        "algo_strategy": "Adaptive",
        "algo_params": [{"tag": "adaptivePriority", "value": "Normal"}],
        "hedge_type": "B",
        "hedge_param": "0.5",
        "clearing_intent": "Away",
        "auto_cancel_parent": True,
        "duration": 60,
    }
    client = await connect(gateway.port, 1)
    client.send_raw(order_request(1, **sent))
    told = await opened(client)
    assert {name: told[name] for name in sent} == sent


# --- single fields -------------------------------------------------------------------------------


class TestTrailStopOfLimitOrders:
    """One above the limit of a buy, one below that of a sale (ib_insync issues 189, 509, 559; ES of rust-ibapi)."""

    @pytest.mark.parametrize(("action", "limit", "told"), [("BUY", 100.0, 101.0), ("SELL", 472.33, 471.33)])
    async def test_it_is_a_number(
        self, gateway: Gateway, connect: Connect, action: str, limit: float, told: float
    ) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, action=action, lmt_price=limit))
        live = await opened(client)
        assert (live["stop_price"], live["trail_stop_price"]) == (pytest.approx(told), None)
        gateway.cancel_order(1)
        client.send(99, 0)
        ended = read(COMPLETED_ORDER, (await client.until(101))[-1])
        assert ended["stop_price"] == pytest.approx(told)

    async def test_a_market_order_has_none(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, order_type="MKT"))
        assert (await opened(client))["stop_price"] == UNSET_DOUBLE


class TestCompletedOrder:
    """rust-ibapi recorded this ES order, which the trader cancelled, at version 173."""

    @pytest.mark.parametrize(("version", "zone"), [(173, "America/New_York"), (174, "UTC"), (178, "UTC")])
    async def test_fields_of_an_order_without_a_parent(self, connect: Connect, version: int, zone: str) -> None:
        async with Gateway(server_version=version) as gateway:
            client = await connect(gateway.port, 1, highest=version)
            placed = gateway.place_order("ES", "BUY", 1, limit_price=1000.0, client_id=1)
            gateway.cancel_order(placed.order_id)
            client.send(99, 0)
            line = (await client.until(101))[-1]
        values = read(COMPLETED_ORDER, line, version)
        assert line[34 if version < 177 else 33] == values["rule_80a"] == ""
        assert values["parent_perm_id"] == 9223372036854775807
        assert values["stop_price"] == 1001.0
        date, clock, told = values["completed_time"].split(" ")
        assert (len(date), len(clock), told) == (8, 8, zone)

    async def test_a_child_names_its_parent(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0, transmit=False))
        client.send_raw(order_request(2, action="SELL", lmt_price=400.0, parent_id=1))
        client.send(4, 1, 1, "")
        client.send(99, 0)
        await client.until(101)
        child = read(COMPLETED_ORDER, (await client.until(101))[-1])
        assert child["parent_perm_id"] == gateway.orders[0].perm_id


@pytest.mark.parametrize("symbol", ["AAPL", "ES"])
async def test_an_execution_has_a_right_only_if_it_is_of_an_option(
    gateway: Gateway, connect: Connect, symbol: str
) -> None:
    client = await connect(gateway.port, 1)
    gateway.place_order(symbol, "BUY", 1, client_id=1)
    assert read(EXEC_DETAILS, (await client.until(11))[-1])["right"] == ""


class TestRecordedAtVersion200:
    """The first openOrder of a market order, as ibkr-go recorded it from a paper gateway, 2026-06-11."""

    UNSET = "1.7976931348623157E308"
    LINE = (
        "5|379|265598|AAPL|STK||0|?||SMART|USD|AAPL|NMS|BUY|100|MKT|0.0|0.0|DAY||DU1234567||0|mine|1|{perm}|0|0|0||"
        "{perm}.0/DU1234567/100|||||||||0||-1|0||||||2147483647|0|0|0||3|0|0||0|0||0|None||0||||?|0|0||0|0||||||0|0|0|"
        "2147483647|2147483647|||0||IB|0|0||0|0|{status}|{nine}||||||{nine}|-9223372036854775808||0||0|0|0|None|{six}|0|"
        "|||0|1|0|0|0|||0||100|0.02||||0||0||0||0"
    )

    async def test_open_order_is_the_same_field_by_field(self, connect: Connect) -> None:
        async with Gateway(server_version=200) as gateway:
            client = await connect(gateway.port, 1, highest=200)
            client.send_raw(order_request(379, 200, order_type="MKT", tif="DAY", order_ref="mine"))
            line = (await client.until(5))[-1]
            perm = gateway.orders[0].perm_id
        nine, six = "|".join([self.UNSET] * 9), "|".join([self.UNSET] * 6)
        assert "|".join(line) == self.LINE.format(perm=perm, status="PreSubmitted", nine=nine, six=six)
