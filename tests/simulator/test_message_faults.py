"""Faults of the byte stream and of single messages, seen from the client."""

import asyncio

import pytest
from ib_async import IB

from ibkr.simulator import FaultError
from ibkr.simulator.connection.send_queue import SendProfile, SendQueue
from ibkr.wire import encode_fields
from ibkr.wire.message_names import MESSAGE_NAMES, message_name
from ibkr.wire.messages import LAYOUTS


def now() -> float:
    return asyncio.get_running_loop().time()


class TestBytes:
    async def test_slow_sends_so_many_bytes_a_second(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("slow", 10_000)
        asked = now()
        client.send(6, 2, 1, "")  # about 1.5 kB of account values
        lines = await client.until(54)
        size = sum(5 + len("".join(line)) + len(line) - 1 for line in lines)
        assert size > 1000
        assert now() - asked >= 0.8 * size / 10_000

    async def test_slow_0_ends_it(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("slow", 1)
        await gateway.fault("slow", 0)
        client.send(6, 2, 1, "")
        await client.until(54)

    async def test_what_trickles_leaves_with_the_fault(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("slow", 1)
        client.send(61, 1)
        await gateway.wait_for(lambda gateway: gateway.seen.received("reqPositions"))
        await gateway.fault("clear")
        await client.until(62)

    async def test_split_frames_come_byte_by_byte(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("split_frames")
        client.send(49, 1)
        pieces = [await client.reader.read(65536)]
        while sum(map(len, pieces)) < 4:
            pieces.append(await client.reader.read(65536))
        assert [len(piece) for piece in pieces] == [1, 1, 1, 1]
        left = int.from_bytes(b"".join(pieces), "big")
        body = await client.reader.readexactly(left)
        assert body.startswith(b"49\x001\x00")

    async def test_merge_frames_come_in_one_lump(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("merge_frames", 0.2)
        client.send(49, 1)
        await client.until(49)  # an interval has just ended
        lump = asyncio.ensure_future(client.packet())
        for count in range(2, 7):
            client.send(49, 1)
            await gateway.wait_for(lambda gateway, count=count: len(gateway.seen.received("reqCurrentTime")) == count)
        assert [line[0] for line in await lump] == ["49"] * 5

    async def test_a_frozen_one_keeps_what_trickles(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("slow", 1000)
        client.send(61, 1)
        await gateway.wait_for(lambda gateway: gateway.seen.received("reqPositions"))
        await gateway.fault("freeze")
        await client.drain()
        assert await client.hears_nothing()
        await gateway.fault("clear")
        await gateway.fault("reset")

    @pytest.mark.parametrize("fault", [("split_frames",), ("merge_frames", 0.02), ("slow", 100_000)])
    async def test_ib_async_connects_all_the_same(self, gateway, ib: IB, fault) -> None:
        await gateway.fault(*fault)
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
        assert len(ib.positions()) == 2


class TestMessages:
    async def test_dropped_once(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("drop_message", "position", 1)
        client.send(61, 1)
        assert [line[0] for line in await client.until(62)] == ["61", "62"]
        client.send(61, 1)
        assert [line[0] for line in await client.until(62)] == ["61", "61", "62"]

    async def test_dropped_always_until_cleared(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("drop_message", "positionEnd")
        for _ in range(3):
            client.send(61, 1)
        client.send(49, 1)
        assert [line[0] for line in await client.until(49)] == ["61"] * 6 + ["49"]
        await gateway.fault("clear")
        client.send(61, 1)
        await client.until(62)

    async def test_duplicated(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("duplicate_message", "position", 1)
        client.send(61, 1)
        lines = await client.until(62)
        assert [line[0] for line in lines] == ["61", "61", "61", "62"]
        assert lines[0] == lines[1] != lines[2]

    async def test_delayed_behind_those_that_follow(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("delay_message", "currentTime", 0.1)
        asked = now()
        client.send(49, 1)
        client.send(61, 1)
        assert [line[0] for line in await client.until(49)] == ["61", "61", "62", "49"]
        assert now() - asked >= 0.1

    async def test_a_delayed_one_dies_with_its_connection(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("delay_message", "any", 1000)
        client.send(49, 1)
        await gateway.wait_for(lambda gateway: gateway.seen.received("reqCurrentTime"))
        await client.close()
        await gateway.wait_for(lambda gateway: not gateway._state.clients)

    async def test_truncated_then_closed(self, gateway, connect) -> None:
        client, other = await connect(gateway.port, 1), await connect(gateway.port, 2)
        await gateway.fault("truncate_message", "positionEnd")
        client.send(61, 1)
        data = await client.reader.read()
        assert data.endswith(b"\0\0\0\x0562")
        other.send(61, 1)
        await other.until(62)

    async def test_extra_separators_at_the_end(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("extra_separators", "currentTime", 2, 1)
        for _ in range(2):
            client.send(49, 1)
        [[_, version, time, *more], plain] = [await client.receive() for _ in range(2)]
        assert (version, time.isdigit(), more) == ("1", True, ["", ""])
        assert len(plain) == 3

    async def test_extra_separators_of_every_message(self, gateway, connect) -> None:
        await gateway.fault("extra_separators")
        client = await connect(gateway.port, 1, welcomed=False)
        assert await client.receive() == ["15", "1", "DU1234567", ""]
        with pytest.raises(FaultError, match="separators from 1 to 1000 are needed, not 0"):
            await gateway.fault("extra_separators", "any", 0)

    async def test_any_message(self, gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("drop_message", "any", 1)
        client.send(49, 1)
        client.send(61, 1)
        assert [line[0] for line in await client.until(62)] == ["61", "61", "62"]


class TestNames:
    def test_each_layout_has_the_name_that_its_id_has(self) -> None:
        assert set(LAYOUTS) <= MESSAGE_NAMES
        assert {name: message_name(encode_fields(item.message_id)) for name, item in LAYOUTS.items()} == {
            name: name for name in LAYOUTS
        }

    @pytest.mark.parametrize(
        ("body", "name"),
        [
            (b"102\0", "completedOrdersEnd"),
            (b"4\x002\0-1\x002104\0OK\0", "error"),
            (b"99\x005\x001\x00", "tickByTickAllLast"),
            (b"99\x005\x003\x00", "tickByTickBidAsk"),
            (b"99\x005\x004\x00", "tickByTickMidPoint"),
            (b"9999\0x\0", "unknown"),
            (b"", "unknown"),
        ],
    )
    def test_of_a_body(self, body: bytes, name: str) -> None:
        assert message_name(body) == name
        assert name == "unknown" or name in MESSAGE_NAMES

    async def test_an_unknown_message_name(self, gateway) -> None:
        with pytest.raises(FaultError, match="MESSAGE is wrong: no message 'execDetail'; perhaps: execDetails"):
            await gateway.fault("drop_message", "execDetail")


class TestOutbox:
    async def test_all_of_a_long_write_leaves_at_its_rate_and_in_order(self) -> None:
        data = bytes(range(256)) * 20
        written: list[bytes] = []

        class Transport(asyncio.Transport):
            def write(self, data) -> None:
                written.append(bytes(data))

            def is_closing(self) -> bool:
                return False

            def close(self) -> None:
                closed.set_result(None)

        closed = asyncio.get_running_loop().create_future()
        outbox = SendQueue(asyncio.get_running_loop(), Transport())
        began = now()
        outbox.put(data, SendProfile(rate=20_000))
        outbox.put(b"last")
        assert outbox.waiting > 0
        outbox.close_when_sent()
        await asyncio.wait_for(closed, 10)
        assert b"".join(written) == data + b"last"
        assert outbox.waiting == 0
        assert now() - began >= 0.9 * len(data) / 20_000
        assert max(map(len, written[:-1])) == 400
