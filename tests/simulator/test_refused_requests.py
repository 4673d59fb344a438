"""Requests that a real gateway refuses, with its codes; the connection continues."""

import asyncio
import random

import pytest

from ibkr.simulator import Gateway
from ibkr.simulator.requests.request_handlers import ANSWERS
from ibkr.wire import encode_fields, frame

APPLE = (265598, "AAPL", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "")


@pytest.fixture
async def session(gateway, connect):
    client = await connect(gateway.port, 7)
    yield client
    # The session must still work after every refusal.
    await client.caught_up()


class TestRefusals:
    async def test_an_unknown_contract_is_200(self, session) -> None:
        session.ask_details(11, "NOSUCH")
        assert await session.error() == (11, 200, "No security definition has been found for the request")
        session.subscribe(12, con_id=1)
        assert (await session.error())[:2] == (12, 200)

    async def test_a_contract_that_is_ambiguous_gets_no_data(self, gateway, session) -> None:
        session.send(1, 11, 5, 0, "", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "", 0, "", 0, 0, "")
        assert (await session.error())[:2] == (5, 200)
        assert gateway.seen.live_subscriptions(7) == {}

    async def test_cancelling_an_unknown_ticker_is_300(self, session) -> None:
        session.send(2, 2, 55)
        assert await session.error() == (55, 300, "Can't find EId with tickerId:55")

    async def test_a_live_ticker_id_used_again_is_322(self, gateway, session) -> None:
        session.subscribe(5)
        await session.until(58)
        session.subscribe(5, 756733, "SPY")
        req_id, code, text = await session.error()
        assert (req_id, code) == (5, 322)
        assert "Duplicate ticker id" in text
        assert gateway.seen.live_subscriptions(7) == {5: "AAPL"}

    async def test_an_id_may_be_used_again_after_its_cancel(self, gateway, session) -> None:
        session.subscribe(5)
        await session.until(58)
        session.send(2, 2, 5)
        session.subscribe(5, 756733, "SPY")
        await session.until(58)
        assert gateway.seen.live_subscriptions(7) == {5: "SPY"}

    @pytest.mark.parametrize(
        ("request_", "field"),
        [
            ((1, 11, "five", *APPLE, 0, "", 0, 0, ""), "Client Req Id"),
            ((1, 11, 5, *APPLE[:-1]), "trading_class"),
            ((1, 11, 5, "x", *APPLE[1:], 0, "", 0, 0, ""), "con_id"),
            ((1, 11, 5, *APPLE[:4], "cheap", *APPLE[5:], 0, "", 0, 0, ""), "strike"),
            ((1, 11, 5, *APPLE, 0, "", "perhaps", 0, ""), "Snapshot"),
            ((2, 2), "Client Req Id"),
            ((2,), "Version"),
            ((2, 2, 2**31), "Client Req Id"),
            ((2, 2, "9" * 5000), "Client Req Id"),
            ((2, 2, "٣"), "Client Req Id"),
            ((6, 2, "yes", ""), "Subscribe"),
            ((7, 3), "Client Req Id"),
            ((9, 8, 1, 265598), "symbol"),
            ((59, 1, 5), "Market Data Type"),
            ((61,), "Version"),
            ((76, 1, 2, "DU1234567"), "Model Code"),
        ],
    )
    async def test_a_malformed_request_is_320_and_names_the_field(self, session, request_, field: str) -> None:
        session.send(*request_)
        req_id, code, text = await session.error()
        assert (req_id, code) == (-1, 320)
        assert f"Unable to parse field: '{field}'" in text

    async def test_a_malformed_start_api_is_320_and_may_be_mended(self, gateway, connect) -> None:
        client = await connect(gateway.port)
        await client.hello()
        for client_id in ("seven", -7):
            client.send(71, 2, client_id, "")
            assert (await client.error())[:2] == (-1, 320)
        client.send(71, 2, 7, "")
        assert (await client.receive())[0] == "15"

    async def test_a_second_start_api_is_321(self, session) -> None:
        session.send(71, 2, 8, "")
        assert (await session.error())[:2] == (-1, 321)

    async def test_an_unknown_request_is_321_and_logged_once(self, session, caplog) -> None:
        for _ in range(2):
            session.send(4711, 1)
            req_id, code, text = await session.error()
            assert (req_id, code) == (-1, 321)
            assert "unknown(4711)" in text
        assert caplog.text.count("unknown(4711)") == 1

    async def test_a_request_not_simulated_is_refused_under_its_own_id(self, session, caplog, monkeypatch) -> None:
        monkeypatch.delitem(ANSWERS, "exerciseOptions")
        for req_id in (41, 42):
            session.send(21, 2, req_id)
            found = await session.error()
            assert found[:2] == (req_id, 322)
            assert "exerciseOptions is not simulated" in found[2]
        assert caplog.text.count("exerciseOptions") == 1

    async def test_an_unknown_account_is_321(self, session) -> None:
        session.send(6, 2, 1, "DU999")
        assert (await session.error())[:2] == (-1, 321)
        session.send(76, 1, 8, "DU999", "", 0)
        assert (await session.error())[:2] == (8, 321)

    async def test_a_third_account_summary_is_322(self, session) -> None:
        for req_id in (1, 2):
            session.send(62, 1, req_id, "All", "NetLiquidation")
            await session.until(64)
        session.send(62, 1, 3, "All", "NetLiquidation")
        assert (await session.error())[:2] == (3, 322)
        session.send(63, 1, 1)
        session.send(62, 1, 3, "All", "NetLiquidation")
        await session.until(64)

    async def test_binding_orders_is_for_client_0(self, session) -> None:
        session.send(15, 1, 1)
        assert (await session.error())[:2] == (-1, 327)


class TestMarketData:
    async def test_first_lines_in_the_order_of_tws(self, session) -> None:
        session.subscribe(5)
        lines = [await session.receive() for _ in range(9)]
        assert [line[0] for line in lines[:2]] == ["58", "81"]
        ticks = {(line[0], line[3]) for line in lines[2:]}
        assert {("1", "1"), ("1", "2"), ("1", "4"), ("2", "0"), ("2", "3"), ("2", "5"), ("2", "8")} == ticks

    async def test_a_snapshot_ends_by_itself(self, gateway, session) -> None:
        session.send(1, 11, 5, *APPLE, 0, "", 1, 0, "")
        await session.until(57, "5")
        assert gateway.seen.live_subscriptions(7) == {}
        assert await session.hears_nothing()

    async def test_the_same_seed_gives_the_same_prices(self, connect) -> None:
        async def prices(seed: int, *others: tuple[int, str]) -> list[str]:
            async with Gateway(seed=seed, tick_interval=0.002) as gateway:
                client = await connect(gateway.port, 7)
                for req_id, (con_id, symbol) in enumerate(others, start=100):
                    client.subscribe(req_id, con_id, symbol)
                client.subscribe(5)
                found: list[str] = []
                while len(found) < 8:
                    line = (await client.until(1, "5"))[-1]
                    if line[2] == "5" and line[3] == "1":
                        found.append(line[4])
                return found

        first = await prices(1)
        assert await prices(1, (756733, "SPY")) == first
        assert await prices(2) != first

    async def test_two_clients_see_the_same_market(self, gateway, connect) -> None:
        async def bids(client_id: int) -> list[str]:
            client = await connect(gateway.port, client_id)
            client.subscribe(5)
            return [line[4] for line in [(await client.until(1, "1"))[-1] for _ in range(40)] if line[3] == "1"]

        first, second = await asyncio.gather(bids(1), bids(2))
        assert len(set(first) & set(second)) > 3

    async def test_bag_and_delta_neutral_fields_are_read(self, session) -> None:
        legs = (265598, 1, "BUY", "SMART", 272093, 1, "SELL", "SMART")
        session.send(1, 11, 4, 0, "X", "BAG", *APPLE[3:], 2, *legs[:4], 4711, *legs[5:], 0, "", 0, 0, "")
        assert (await session.error())[:2] == (4, 200)
        session.send(1, 11, 5, 0, "X", "BAG", *APPLE[3:], 2, *legs, 0, "", 0, 0, "")
        await session.until(58, "5")
        session.send(1, 11, 6, *APPLE, 1, 265598, 0.5, 230.0, "233", 0, 0, "")
        await session.until(58, "6")


class TestHostileClients:
    async def test_a_frame_over_the_cap_cuts_that_client_alone(self, gateway, connect, caplog) -> None:
        other = await connect(gateway.port, 1)
        client = await connect(gateway.port, 7)
        client.send_raw(b"\x7f\xff\xff\xff" + b"junk")
        await client.ended()
        await other.caught_up()
        assert "frame of 2147483647 bytes" in caplog.text

    async def test_a_client_that_does_not_read_is_disconnected(self, gateway, connect, caplog, monkeypatch) -> None:
        await gateway.fault("limit_rate", on_rate="off")
        monkeypatch.setattr("ibkr.simulator.connection.client_connection.MAX_UNREAD", 256 * 1024)
        client = await connect(gateway.port, 7)
        client.shrink_receive_buffer()
        request = frame(encode_fields(6, 2, 1, ""))

        async def flood() -> None:
            while True:
                client.send_raw(request * 200)
                await asyncio.wait_for(client.writer.drain(), 10)
                await asyncio.sleep(0)

        with pytest.raises(ConnectionError):
            await flood()
        await gateway.wait_for(lambda gateway: gateway.client_ids == [])
        assert "does not read" in caplog.text

    async def test_a_client_with_too_many_delayed_answers_is_disconnected(self, gateway, connect, monkeypatch) -> None:
        await gateway.fault("limit_rate", on_rate="off")
        monkeypatch.setattr("ibkr.simulator.connection.client_connection.MAX_UNREAD", 256 * 1024)
        client = await connect(gateway.port, 7)
        await gateway.fault("delay", 1000)
        client.send_raw(frame(encode_fields(6, 2, 1, "")) * 500)
        await gateway.wait_for(lambda gateway: gateway.client_ids == [])

    async def test_long_requests_are_remembered_by_their_beginnings(self, gateway, connect) -> None:
        client = await connect(gateway.port, 7)
        client.send(4711, "x" * 100_000, *range(1000))
        await client.error()
        (seen,) = gateway.seen.received("unknown(4711)")
        assert len(seen.fields) == 20
        assert max(map(len, seen.fields)) == 100

    async def test_thousands_of_random_frames_do_no_harm(self, gateway, connect, caplog) -> None:
        await gateway.fault("limit_rate", on_rate="off")
        roll = random.Random(42)
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        bystander = await connect(gateway.port, 1)
        bystander.subscribe(5)
        hostile = await connect(gateway.port, 7)
        for round_ in range(40):
            hostile.send_raw(b"".join(frame(random_body(roll)) for _ in range(100)))
            await hostile.caught_up()
            await bystander.until(1, "5")
            assert gateway.client_ids == [1, 7], f"lost a client in round {round_}"
        assert failures == []
        assert len(gateway.seen.requests) > 4000
        assert len(caplog.records) < 4000

    async def test_random_openings_do_no_harm(self, gateway, connect) -> None:
        roll = random.Random(43)
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        for _ in range(100):
            client = await connect(gateway.port)
            client.send_raw(roll.choice((b"", b"API\0", b"API\0\0\0\0\tv100..178")) + roll.randbytes(40))
            client.writer.write_eof()
            await client.ended()
        await gateway.wait_for(lambda gateway: gateway.client_ids == [])
        assert failures == []


TAILS: dict[int, tuple[tuple[object, ...], ...]] = {
    10: ((5, 1, ""), (5, 0, "")),
    20: ((0, "", "1 min", "1 D", 0, "TRADES", 1, 1, ""), (0, "", "1 day", "1 Y", 1, "BID_ASK", 1, 0, "")),
    50: ((5, "TRADES", 0, ""),),
    54: ((5.0, 230.0, 0, ""),),
    87: ((0, 1, "TRADES", 1),),
    88: ((0, 1, "3 days"),),
    96: ((0, "", "20240628 12:00:00", 10, "TRADES", 1, 0, ""),),
    97: (("Last", 5, 0), ("BidAsk", 0, 0)),
}
"""The fields after the contract, for requests that have more fields."""


def random_body(roll: random.Random) -> bytes:
    """A request with some fields changed, dropped or repeated, or random bytes."""
    if roll.random() < 0.2:
        return roll.randbytes(roll.randint(0, 60))
    name = roll.choice((*range(1, 26), *range(50, 60), *range(61, 106)))
    head = [name, roll.choice((1, 2, 11)), roll.randint(0, 50)]
    if name in (20, 87, 88, 96, 97):
        del head[1]
    tail = roll.choice(TAILS.get(name, ((0, "", 0, 0, ""),)))
    fields: list[object] = [*head, *APPLE, *tail]
    for _ in range(roll.randint(0, 4)):
        at = roll.randrange(1, len(fields))
        match roll.randint(0, 3):
            case 0:
                fields[at] = roll.choice(("", "-1", "x", "1e999", "٣", "\\", 2**40, -(2**31), "NaN", "Börse", "BAG"))
            case 1:
                del fields[at:]
                fields.append("")
            case 2:
                fields.insert(at, fields[at])
            case _:
                fields.insert(at, "y" * roll.randint(0, 200))
    return encode_fields(*fields)
