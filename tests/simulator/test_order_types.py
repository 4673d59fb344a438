"""Order types, times in force and algorithms: accepted, reported as sent, and traded by their rules."""

from collections.abc import AsyncIterator

import pytest
from ib_async import IB, Order, TagValue

from ibkr.simulator import Gateway
from ibkr.wire.order_messages import OPEN_ORDER, ORDER_STATUS

from .conftest import Connect, RawClient
from .order_helpers import APPLE, charged, order_request, reach, read, refusals

HELD_BACK, TRIGGERED, RESTS, FILLED = (
    ("PreSubmitted", ""),
    ("PreSubmitted", "trigger"),
    ("Submitted", ""),
    ("Filled", ""),
)
"""The status of an order, and the reason why it is held."""

TYPES = [
    ("MOC", {}, HELD_BACK),
    ("LOC", {"lmt_price": 300.0}, HELD_BACK),
    ("MIT", {"aux_price": 100.0}, HELD_BACK),
    ("LIT", {"aux_price": 100.0, "lmt_price": 101.0}, HELD_BACK),
    ("STP", {"aux_price": 400.0}, TRIGGERED),
    ("STP LMT", {"aux_price": 400.0, "lmt_price": 401.0}, TRIGGERED),
    ("STP PRT", {"aux_price": 400.0}, TRIGGERED),
    ("TRAIL", {"aux_price": 50.0}, TRIGGERED),
    ("TRAIL LIMIT", {"aux_price": 50.0, "lmt_price_offset": 0.5}, TRIGGERED),
    ("TRAIL LIMIT", {"trailing_percent": 20.0, "lmt_price_offset": 0.5}, TRIGGERED),
    ("REL", {"lmt_price": 300.0, "aux_price": 0.01}, RESTS),
    ("MIDPRICE", {}, RESTS),
    ("MIDPRICE", {"lmt_price": 300.0}, RESTS),
    ("PEG MID", {}, RESTS),
    ("PEG BEST", {}, RESTS),
    ("PEG STK", {"delta": 0.5}, RESTS),
    ("PEG BENCH", {"reference_contract_id": 272093, "starting_price": 100.0}, RESTS),
    ("SNAP MID", {}, RESTS),
    ("SNAP PRIM", {}, RESTS),
    ("SNAP MKT", {}, FILLED),
    ("MTL", {}, FILLED),
    ("MKT PRT", {}, FILLED),
    ("MKT", {}, FILLED),
    ("LMT", {"lmt_price": 300.0}, FILLED),
]


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A market that does not move, so that no tick fills a resting order."""
    async with Gateway(tick_interval=3600, id_hold=0) as running:
        yield running


async def status_of(client: RawClient, order_id: int) -> tuple[str, str]:
    """Return the status of an open or just filled order, and the reason why it is held."""
    client.send(5, 1)
    lines = [read(ORDER_STATUS, line) for line in await client.until(53) if line[0] == "3"]
    last = [line for line in lines if line["order_id"] == order_id][-1]
    return last["status"], last["why_held"]


class TestTypes:
    @pytest.mark.parametrize(("kind", "terms", "wanted"), TYPES)
    async def test_it_is_taken_and_told_by_its_name(
        self, gateway: Gateway, connect: Connect, kind: str, terms: dict[str, float], wanted: tuple[str, str]
    ) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, order_type=kind, **terms))
        told = read(OPEN_ORDER, (await client.receive()))
        assert (told["order_type"], told["tif"]) == (kind, "DAY")
        assert {name: told[name] for name in terms if name != "lmt_price_offset"} == {
            name: value for name, value in terms.items() if name != "lmt_price_offset"
        }
        assert await status_of(client, 1) == wanted
        if wanted != FILLED:
            assert gateway.fill(1).shares == 100
            await client.until(3, "Filled")

    async def test_a_relative_order_without_an_offset_gets_one(self, gateway: Gateway, connect: Connect) -> None:
        """ibkr-go recorded this. Its other records of order types show that no trigger holds back an MIT order."""
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, order_type="REL", lmt_price=100.0))
        assert read(OPEN_ORDER, await client.receive())["aux_price"] == 0.01

    @pytest.mark.parametrize(
        ("kind", "code", "text"),
        [
            ("FEELINGS", 321, "Error validating request.-'bN' : cause - Invalid order type was entered"),
            ("PEG PRI", 321, "Error validating request.-'bN' : cause - Invalid order type was entered"),
            ("PEG MKT", 387, "Unsupported order type for this exchange and security type."),
            ("PEG BENCH", 321, "Error validating request.-'bN' : cause - Missing reference financial instrument"),
        ],
    )
    async def test_those_that_are_refused(
        self, gateway: Gateway, connect: Connect, kind: str, code: int, text: str
    ) -> None:
        """The codes and texts that ibkr-go recorded for AAPL at SMART."""
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, order_type=kind, lmt_price=100.0))
        assert await client.error() == (1, code, text)

    @pytest.mark.parametrize(
        ("written", "told"),
        [("STPLMT", "STP LMT"), ("TRAILLIMIT", "TRAIL LIMIT"), ("PEGMID", "PEG MID"), ("SNAPMID", "SNAP MID")],
    )
    async def test_names_may_be_written_without_blanks(
        self, gateway: Gateway, connect: Connect, written: str, told: str
    ) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, order_type=written, lmt_price=401.0, aux_price=400.0))
        assert read(OPEN_ORDER, await client.receive())["order_type"] == told

    @pytest.mark.parametrize(("written", "told"), [("MOO", "MKT"), ("LOO", "LMT")])
    async def test_orders_for_the_opening(self, gateway: Gateway, connect: Connect, written: str, told: str) -> None:
        client = await connect(gateway.port, 1)
        for order_id, terms in ((1, {"order_type": written}), (2, {"order_type": told, "tif": "OPG"})):
            client.send_raw(order_request(order_id, lmt_price=300.0, **terms))
            values = read(OPEN_ORDER, (await client.until(5, str(order_id)))[-1])
            assert (values["order_type"], values["tif"]) == (told, "OPG")
            assert await status_of(client, order_id) == HELD_BACK
        assert gateway.fill(1, price=231.5).price == 231.5

    async def test_market_to_limit_rests_at_its_first_price(self, connect: Connect) -> None:
        async with Gateway(partial_fills=True) as gateway:
            client = await connect(gateway.port, 1)
            gateway.market_is_open = False
            client.send_raw(order_request(1, order_type="MTL", total_quantity=5000.0))
            await client.until(59)
            (order,) = gateway.orders
            assert 0 < order.filled < 5000
            assert await status_of(client, 1) == RESTS
            client.send(5, 1)
            told = read(OPEN_ORDER, (await client.until(5))[-1])
            assert (told["order_type"], told["lmt_price"]) == ("MTL", order.average_price)


class TestTimesInForce:
    @pytest.mark.parametrize("tif", ["DAY", "GTC", "DTC", "GTX"])
    async def test_those_that_rest(self, gateway: Gateway, connect: Connect, tif: str) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0, tif=tif))
        assert read(OPEN_ORDER, await client.receive())["tif"] == tif
        assert await status_of(client, 1) == RESTS

    async def test_good_till_a_date(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0, tif="GTD", good_till_date="20990101 16:00:00 US/Eastern"))
        told = read(OPEN_ORDER, await client.receive())
        assert (told["tif"], told["good_till_date"]) == ("GTD", "20990101 16:00:00 US/Eastern")

    @pytest.mark.parametrize("tif", ["IOC", "FOK"])
    async def test_those_that_fill_at_once_or_end(self, gateway: Gateway, connect: Connect, tif: str) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=300.0, tif=tif))
        await client.until(3, "Filled")
        client.send_raw(order_request(2, lmt_price=100.0, tif=tif))
        assert (await client.error())[:2] == (2, 202)


class TestAlgos:
    @pytest.mark.parametrize(
        ("name", "parameters"),
        [
            ("Adaptive", {"adaptivePriority": "Normal"}),
            ("Twap", {"startTime": "09:30:00 US/Eastern", "endTime": "16:00:00 US/Eastern", "allowPastEndTime": "1"}),
            ("Vwap", {"maxPctVol": "0.1", "noTakeLiq": "1"}),
            ("ArrivalPx", {"maxPctVol": "0.1", "riskAversion": "Neutral"}),
            ("DarkIce", {"displaySize": "10"}),
            ("PctVol", {"pctVol": "0.5"}),
            ("PctVolPx", {"pctVol": "0.1", "deltaPctVol": "0.05"}),
            ("PctVolSz", {"startPctVol": "0.2", "endPctVol": "0.4"}),
            ("PctVolTm", {"startPctVol": "0.2", "endPctVol": "0.4"}),
            ("AD", {"componentSize": "10"}),
            ("ClosePx", {"maxPctVol": "0.5"}),
            ("MinImpact", {"maxPctVol": "0.1"}),
            ("BalanceImpactRisk", {"riskAversion": "Neutral"}),
        ],
    )
    async def test_it_is_taken_with_its_parameters(
        self, gateway: Gateway, connected: IB, new_ib, name: str, parameters: dict[str, str]
    ) -> None:
        sent = [TagValue(tag, value) for tag, value in parameters.items()]
        order = Order(action="BUY", totalQuantity=100, orderType="LMT", lmtPrice=100.0, algoStrategy=name)
        order.algoParams = sent
        await reach(connected.placeOrder(APPLE, order), "Submitted")
        other = new_ib()
        await other.connectAsync("127.0.0.1", gateway.port, clientId=9, timeout=10)
        (seen,) = await other.reqAllOpenOrdersAsync()
        assert (seen.order.algoStrategy, seen.order.algoParams) == (name, sent)

    async def test_an_algo_order_that_crosses_the_market_fills(self, connected: IB) -> None:
        order = Order(action="BUY", totalQuantity=100, orderType="MKT", algoStrategy="Adaptive")
        order.algoParams = [TagValue("adaptivePriority", "Urgent")]
        trade = connected.placeOrder(APPLE, order)
        await charged(trade)

    async def test_an_unknown_one_is_439(self, connected: IB) -> None:
        errors = refusals(connected)
        connected.placeOrder(APPLE, Order(action="BUY", totalQuantity=1, orderType="MKT", algoStrategy="Magic"))
        await connected.reqOpenOrdersAsync()
        assert [code for _, code, _ in errors] == [439]


class TestTransmit:
    async def test_a_staged_order_is_not_told_before_it_is_transmitted(
        self, gateway: Gateway, connect: Connect
    ) -> None:
        """ibkr-go recorded this behavior."""
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0, transmit=False))
        client.send(5, 1)
        assert (await client.receive())[0] == "53"
        assert await client.hears_nothing()
        client.send_raw(order_request(1, lmt_price=101.0, transmit=True))
        assert read(OPEN_ORDER, await client.receive())["lmt_price"] == 101.0
        await client.until(3, "Submitted")

    async def test_an_oca_group_keeps_the_types_of_its_orders_and_ends_with_a_fill(
        self, gateway: Gateway, connect: Connect
    ) -> None:
        client = await connect(gateway.port, 1)
        for order_id, kind in ((1, 1), (2, 2), (3, 3)):
            client.send_raw(order_request(order_id, lmt_price=100.0, oca_group="g", oca_type=kind))
        told = [read(OPEN_ORDER, (await client.until(5, str(order_id)))[-1]) for order_id in (1, 2, 3)]
        assert [(order["oca_group"], order["oca_type"]) for order in told] == [("g", 1), ("g", 2), ("g", 3)]
        gateway.fill(1)
        await client.caught_up()
        assert [order.status for order in gateway.orders] == ["Filled", "Cancelled", "Cancelled"]
