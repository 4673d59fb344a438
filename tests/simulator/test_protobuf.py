"""Sessions from server version 201 on: the gateway speaks protobuf, and text with other clients at the same time."""

from __future__ import annotations

import logging
import math

import pytest

from ibkr.simulator import Gateway
from ibkr.simulator.requests.request_names import REQUESTS
from ibkr.wire import encode_fields, frame, protobuf_schema
from ibkr.wire.frame import binary_id

APPLE = {"conId": 265598, "symbol": "AAPL", "secType": "STK", "exchange": "SMART", "currency": "USD"}
LIMIT = {"action": "BUY", "totalQuantity": "10", "orderType": "LMT", "lmtPrice": 100.0, "tif": "DAY", "transmit": True}
VERSIONS = (201, 206, 213, 226)


@pytest.fixture
async def session(gateway, connect):
    """A session at the newest version, with client id 7. It must still work after every message of the test."""
    client = await connect(gateway.port, 7, highest=226)
    yield client
    await client.caught_up()


def subscribe(client, req_id: int) -> None:
    client.send_protobuf(1, "MarketDataRequest", reqId=req_id, contract=APPLE)


def place(client, order_id: int, **changes: object) -> None:
    client.send_protobuf(3, "PlaceOrderRequest", orderId=order_id, contract=APPLE, order={**LIMIT, **changes})


class TestSessions:
    @pytest.mark.parametrize("version", VERSIONS)
    async def test_a_text_request_is_taken_at_any_version(self, gateway, connect, version: int) -> None:
        client = await connect(gateway.port, 7, highest=version)
        assert client.version == version
        client.subscribe(5)
        await client.until(58, "5")
        await client.until(1, "5")
        assert gateway.seen.live_subscriptions(7) == {5: "AAPL"}
        client.send(2, 2, 5)
        await gateway.wait_for(lambda gateway: not gateway.seen.live_subscriptions(7))

    @pytest.mark.parametrize("version", VERSIONS)
    async def test_a_protobuf_request_is_taken_too(self, gateway, connect, version: int) -> None:
        client = await connect(gateway.port)
        await client.hello(highest=version)
        client.send_protobuf(71, "StartApiRequest", clientId=7)
        await client.until(4, "2158")
        subscribe(client, 5)
        await client.until(1, "5")
        client.send_protobuf(2, "CancelMarketData", reqId=5)
        await gateway.wait_for(lambda gateway: not gateway.seen.live_subscriptions(7))

    async def test_the_gateway_offers_226_and_each_client_gets_its_own(self, gateway, connect) -> None:
        for highest, got in ((178, 178), (200, 200), (225, 225), (300, 226)):
            client = await connect(gateway.port)
            await client.hello(highest=highest)
            assert client.version == got

    async def test_a_contract_of_a_request_is_its_message(self, session) -> None:
        session.send_protobuf(9, "ContractDataRequest", reqId=1, contract={"symbol": "ES", "secType": "FUT"})
        found = await session.until(52)
        assert {"ES", "FUT", "CME", "50"} <= set(found[0])
        legs = [{"conId": 265598, "ratio": 1, "action": "BUY", "exchange": "SMART"}]
        legs.append({**legs[0], "conId": 272093, "action": "SELL"})
        bag = {"symbol": "X", "secType": "BAG", "exchange": "SMART", "currency": "USD", "comboLegs": legs}
        session.send_protobuf(1, "MarketDataRequest", reqId=2, contract=bag)
        await session.until(1, "2")

    @pytest.mark.parametrize("version", [205, 206])
    async def test_every_tick_of_an_option_has_its_request_id(self, gateway, connect, version: int) -> None:
        option = next(item for item in gateway._state.instruments if item.sec_type == "OPT")
        client = await connect(gateway.port, 7, highest=version)
        client.send_protobuf(1, "MarketDataRequest", reqId=4711, contract={"conId": option.con_id})
        ticks = await client.until(21, "4711")
        for _ in range(20):
            ticks += await client.until(21, "4711")
        assert all("4711" in tick[1:3] for tick in ticks)

    async def test_requests_that_came_with_protobuf(self, gateway, session, connect) -> None:
        session.send_protobuf(106, "CancelContractData", reqId=1)
        session.send_protobuf(107, "CancelHistoricalTicks", reqId=1)
        session.send_protobuf(108, "ConfigRequest", reqId=3)
        assert (await session.until(110))[-1] == ["110", "3", "0", str(gateway.port), "0"]
        session.send_protobuf(109, "UpdateConfigRequest", reqId=4)
        assert (await session.error())[:2] == (4, 322)
        older = await connect(gateway.port, 8, highest=214)
        older.send_protobuf(106, "CancelContractData", reqId=1)
        assert (await older.error())[:2] == (-1, 321)

    async def test_times_in_utc_end_with_a_z_from_214_on(self, gateway, connect) -> None:
        for version, end in ((213, "0"), (214, "Z")):
            client = await connect(gateway.port, version, highest=version)
            client.send_protobuf(
                87, "HeadTimestampRequest", reqId=1, contract=APPLE, whatToShow="TRADES", formatDate=1, useRTH=True
            )
            assert (await client.until(88))[-1][2].endswith(end)
            wanted = {"contract": APPLE, "whatToShow": "TRADES", "numberOfTicks": 3, "useRTH": True}
            client.send_protobuf(
                96, "HistoricalTicksRequest", reqId=2, endDateTime="20240628-15:00:00" + "Z" * (end == "Z"), **wanted
            )
            assert (await client.until(98))[-1][1] == "2"


class TestMalformed:
    @pytest.mark.parametrize(
        ("message_id", "name", "values"),
        [
            (59, "MarketDataTypeRequest", {}),
            (9, "ContractDataRequest", {"reqId": 1, "contract": {"symbol": "A\0B"}}),
            (3, "PlaceOrderRequest", {"orderId": 1, "contract": APPLE, "order": {**LIMIT, "lmtPrice": math.nan}}),
            (3, "PlaceOrderRequest", {"orderId": 1, "contract": APPLE, "order": {**LIMIT, "totalQuantity": "many"}}),
            (3, "PlaceOrderRequest", {"orderId": 1, "contract": APPLE, "order": {**LIMIT, "orderRef": "A\0"}}),
            (54, "CalculateImpliedVolatilityRequest", {"reqId": 1, "contract": APPLE, "optionPrice": math.inf}),
        ],
    )
    async def test_what_text_cannot_hold_is_320(self, session, message_id: int, name: str, values) -> None:
        session.send_protobuf(message_id, name, **values)
        assert (await session.error())[:2] == (-1, 320)

    @pytest.mark.parametrize("message_id", [1, 3, 9, 61, 71])
    async def test_bytes_that_are_no_message_are_320(self, session, message_id: int) -> None:
        session.send_raw(frame(binary_id(200 + message_id) + b"\xff\xff"))
        code = (await session.error())[1]
        assert code == (321 if message_id == 71 else 320)

    async def test_an_id_that_is_none(self, session) -> None:
        for body in (binary_id(200 + 4711), binary_id(0), b"\0\0", b"", b"\xff\xff\xff\xff"):
            session.send_raw(frame(body))
            assert (await session.error())[:2] == (-1, 321)

    async def test_a_text_without_its_fields_is_320(self, session) -> None:
        session.send_raw(frame(binary_id(1) + encode_fields(11)))
        assert (await session.error())[:2] == (-1, 320)


class TestOrders:
    async def test_an_order_in_protobuf_is_the_order_that_others_see_in_text(self, connect) -> None:
        async with Gateway(master_client_id=1, id_hold=0) as gateway:
            client, master = await connect(gateway.port, 7, highest=226), await connect(gateway.port, 1)
            place(client, 1, orderRef="mine", conditions=[{"type": 3, "isMore": True, "time": "20990101 00:00:00 UTC"}])
            for each in (client, master):
                await each.until(3, "1")
            [order] = gateway.orders
            assert (order.limit_price, order.quantity, order.terms.order_ref) == (100.0, 10.0, "mine")
            place(client, 1, lmtPrice=101.5)
            await gateway.wait_for(lambda gateway: gateway.orders[0].limit_price == 101.5)
            client.send_protobuf(4, "CancelOrderRequest", orderId=1, orderCancel={"extOperator": "me"})
            assert (await client.error())[:2] == (1, 202)

    async def test_every_term_comes_back(self, gateway, session) -> None:
        place(
            session,
            1,
            algoStrategy="Adaptive",
            algoParams={"adaptivePriority": "Urgent"},
            postOnly=True,
            hedgeMaxSize=7,
        )
        opened = (await session.until(5))[-1]
        assert {"Adaptive", "adaptivePriority=Urgent", "7", "AAPL"} <= set(opened)
        session.send_protobuf(58, "GlobalCancelRequest")
        assert (await session.error())[:2] == (1, 202)
        session.send_protobuf(99, "CompletedOrdersRequest", apiOnly=True)
        assert len(await session.until(102)) == 2

    async def test_read_only_refuses_under_the_id_of_the_request(self, gateway, session) -> None:
        await gateway.fault("read_only")
        place(session, 41)
        assert (await session.error())[:2] == (41, 321)
        session.send_protobuf(5, "OpenOrdersRequest")
        assert (await session.error())[:2] == (2147483647, 321)

    async def test_what_was_received_is_seen_as_texts(self, gateway, session) -> None:
        place(session, 3)
        subscribe(session, 5)
        await session.until(1, "5")
        assert {"3", "AAPL", "BUY", "LMT", "100"} <= set(gateway.seen.received("placeOrder")[0].fields)
        assert gateway.seen.received("reqMktData")[0].fields[:3] == ("1", "5", "265598")


class TestFaults:
    """Faults of single messages find them by name, and their effect fits the encoding."""

    @pytest.mark.parametrize("version", VERSIONS)
    async def test_drop_duplicate_and_pad(self, gateway, connect, version: int) -> None:
        client = await connect(gateway.port, 7, highest=version)
        await gateway.fault("duplicate_message", "currentTime", 1)
        client.send(49, 1)
        client.send(49, 1)
        for _ in range(3):
            await client.until(49)
        await gateway.fault("drop_message", "positionEnd", 1)
        client.send(61, 1)
        client.send(49, 1)
        assert [message[0] for message in await client.until(49)] == ["61", "61", "49"]
        await gateway.fault("extra_separators", "position", 2)
        client.send(61, 1)
        rows = await client.until(62)
        assert [row[0] for row in rows] == ["61", "61", "62"]

    async def test_a_tick_by_tick_message_by_its_kind(self, gateway, session) -> None:
        await gateway.fault("drop_message", "tickByTickMidPoint")
        for req_id, kind in enumerate(("MidPoint", "Last"), start=1):
            session.send_protobuf(97, "TickByTickRequest", reqId=req_id, contract=APPLE, tickType=kind)
        assert all(message[1] == "2" for message in (await session.until(99))[-1:])

    async def test_half_a_message_and_the_end(self, gateway, connect) -> None:
        client = await connect(gateway.port, 7, highest=226)
        await gateway.fault("truncate_message", "currentTime")
        client.send(49, 1)
        assert await client.ended() == "closed"

    async def test_a_muted_request_gets_no_answer(self, gateway, session) -> None:
        await gateway.fault("mute", "reqPositions")
        session.send_protobuf(61, "PositionsRequest")
        session.send(49, 1)
        assert [message[0] for message in await session.until(49)] == ["49"]

    async def test_the_log_shows_what_is_sent(self, gateway, session, caplog) -> None:
        caplog.set_level(logging.DEBUG, "ibkr.simulator")
        session.send_protobuf(61, "PositionsRequest")
        await session.until(62)
        assert "client 7 <- position DU1234567 265598 AAPL STK" in caplog.text
        assert "client 7: reqPositions" in caplog.text


async def test_clients_of_both_encodings_have_the_same_quotes(gateway, connect) -> None:
    old, new = await connect(gateway.port, 1), await connect(gateway.port, 2, highest=226)
    old.subscribe(5)
    subscribe(new, 3)
    texts = [(await old.until(1, "5"))[-1][4] for _ in range(60)]
    prices = [(await new.until(1, "3"))[-1][3] for _ in range(60)]
    assert len({float(text) for text in texts} & {float(price) for price in prices}) > 3


SOME: dict[str, object] = {"int32": 1, "int64": 1, "bool": True, "double": 1.5, "string": "1"}


def filled(message: str) -> dict[str, object]:
    """A value for every field of a message."""
    found: dict[str, object] = {}
    for name, field in protobuf_schema.schema()[message].items():
        value = (
            APPLE
            if name == "contract"
            else filled(field.type)
            if field.type in protobuf_schema.schema()
            else SOME[field.type]
        )
        found[name] = {"1": "1"} if field.is_map else [value] if field.is_repeated else value
    return found


@pytest.mark.parametrize(
    "request_", [item for item in REQUESTS.values() if item.name != "startApi"], ids=lambda item: item.name
)
async def test_every_name_that_an_answer_reads_is_a_field_of_its_request(gateway, session, request_) -> None:
    # If a name were wrong, the gateway would end the connection.
    session.send_protobuf(request_.message_id, request_.protobuf, **filled(request_.protobuf))
    await session.caught_up()
    assert gateway.client_ids == [7]
