"""Hostile clients: random and mutated frames. The gateway continues, forgets these clients, and still serves others."""

from __future__ import annotations

import asyncio
import gc
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import settings

from ibkr.simulator import Gateway
from ibkr.simulator.connection.client_connection import ClientConnection
from ibkr.simulator.requests.request_names import REQUESTS
from ibkr.wire import encode_fields, frame, protobuf_schema
from ibkr.wire.frame import BINARY_IDS, PROTOBUF_IDS, binary_id

FRAMES = 100 * settings().max_examples
"""The number of frames: 10,000, or 100,000 in `make thorough`."""
HOSTILE = 4
BATCH = 50

CONTRACT_VALUES = {"conId": 265598, "symbol": "AAPL", "secType": "STK", "exchange": "SMART", "reqId": 9}
NUMBERS = (0, 1, -1, 7, 2**31 - 1, -(2**31))
BY_TYPE: dict[str, tuple[Any, ...]] = {
    "int32": NUMBERS,
    "int64": (*NUMBERS, 2**63 - 1),
    "bool": (True, False),
    "double": (0.0, 1.5, -1.0, 1e308, math.inf, -math.inf, math.nan),
    "string": ("", "1", "BUY", "LMT", "DU1234567", "1 day", "\0", "NaN", "1e999", "x" * 500, "é", "TRADES", "20260101"),
}
CONTRACT = ("265598", "AAPL", "STK", "", "0.0", "", "", "SMART", "NASDAQ", "USD", "AAPL", "NMS")
KNOWN = (
    ("1", "11", "9", *CONTRACT, "0", "", "0", "0", ""),
    ("2", "2", "9"),
    ("3", "9", *CONTRACT, "", "", "BUY", "100", "LMT", "200.5", "", "DAY", "", "", "", "0", "", "1"),
    ("4", "1", "9", ""),
    ("6", "2", "1", "DU1234567"),
    ("7", "3", "6", "0", "", "", "", "", "", ""),
    ("9", "8", "7", *CONTRACT[:8], *CONTRACT[9:], "0", "", "", ""),
    ("20", "8", *CONTRACT, "0", "", "1 day", "1 D", "1", "TRADES", "1", "0", ""),
    ("62", "1", "10", "All", "NetLiquidation,TotalCashValue"),
    ("71", "2", "7", ""),
    ("76", "1", "5", "DU1234567", "", "0"),
    *[(str(request.message_id), "1", "9", "1", "", "0") for request in REQUESTS.values()],
)
STRANGE = ("", "-1", "2147483648", "9" * 40, "1e308", "NaN", "Infinity", "\\u0000", "é", "x" * 500, "0.0", "%s", "-0")


def mutated(roll: random.Random, version: int = 200) -> bytes:
    """Random bytes, or the body of a request with changed bytes or with fields changed, dropped, repeated, swapped."""
    if version >= BINARY_IDS:
        if roll.random() < 0.6:
            return mutated_protobuf(roll)
        head, _, rest = mutated(roll).partition(b"\0")
        return binary_id(int(head) if head.isdigit() and len(head) < 5 else 3) + rest
    if roll.random() < 0.1:
        return roll.randbytes(roll.randint(0, 80))
    fields = list(roll.choice(KNOWN))
    for _ in range(roll.randint(0, 3)):
        at = roll.randrange(len(fields))
        match roll.randrange(4):
            case 0:
                fields[at] = roll.choice(STRANGE)
            case 1 if len(fields) > 1:
                del fields[at]
            case 2:
                fields.insert(at, fields[roll.randrange(len(fields))])
            case 3:
                fields[at] = str(roll.randint(-5, 5))
    body = bytearray("".join(f"{text}\0" for text in fields).encode())
    if roll.random() < 0.1:
        body[roll.randrange(len(body))] = roll.randrange(256)
    return bytes(body)


def mutated_protobuf(roll: random.Random) -> bytes:
    """A request in protobuf with some of its fields. Some values are unusual, and sometimes a byte is changed."""
    request = roll.choice(list(REQUESTS.values()))
    body = bytearray(
        protobuf_schema.message_class(request.protobuf)(**some_of(roll, request.protobuf)).SerializeToString()
    )
    if body and roll.random() < 0.2:
        body[roll.randrange(len(body))] = roll.randrange(256)
    return binary_id(PROTOBUF_IDS + request.message_id) + bytes(body[: roll.randint(0, 200) or None])


def some_of(roll: random.Random, message: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in protobuf_schema.schema()[message].items():
        if roll.random() < 0.1 and name not in CONTRACT_VALUES:
            continue
        if name in CONTRACT_VALUES and roll.random() < 0.9:
            value: Any = CONTRACT_VALUES[name]
        elif field.type in protobuf_schema.schema():
            value = some_of(roll, field.type)
        else:
            value = roll.choice(BY_TYPE[field.type])
        found[name] = {value: value} if field.is_map else [value] * 2 if field.is_repeated else value
    return found


class Hostile:
    """One hostile client after the other, with the same client id."""

    def __init__(
        self, gateway: Gateway, connect: Callable[..., Awaitable[Any]], client_id: int, versions: tuple[int, ...]
    ) -> None:
        self._gateway, self._connect, self._id, self._versions = gateway, connect, client_id, versions
        self._roll = random.Random(client_id)

    async def attack(self, frames: int) -> None:
        left = frames
        while left > 0:
            client = await self._connect(self._gateway.port)
            if self._roll.random() < 0.1:
                client.send_raw(
                    self._roll.choice((b"", b"API\0", b"API\0\0\0\0\tv100..178")) + self._roll.randbytes(40)
                )
            else:
                await client.hello(highest=self._roll.choice(self._versions))
                await client.start_api(self._id)
                await client.until(9)
                while left > 0 and self._roll.random() < 0.9:
                    left -= BATCH
                    await self._batch(client)
                self._say_goodbye(client)
            client.writer.transport.abort()
            await self._gateway.wait_for(lambda gateway: self._id not in gateway.client_ids)

    async def _batch(self, client: Any) -> None:
        client.send_raw(b"".join(frame(mutated(self._roll, client.version)) for _ in range(BATCH)))
        await client.caught_up()

    def _say_goodbye(self, client: Any) -> None:
        cut = frame(mutated(self._roll))
        client.send_raw(
            self._roll.choice((cut[:-1], b"\xff\xff\xff\xff", b"\0\x0f\xff\xff" + cut, self._roll.randbytes(99)))
        )


async def watch_over(bystander: Any, is_over: Callable[[], bool]) -> int:
    """Ask for the time until ``is_over``. Returns how often. The client must receive only its own messages."""
    count = 0
    while not is_over():
        bystander.send(49, 1)
        for line in await bystander.until(49):
            assert line[0] == "49" or line[1 if line[0] == "81" else 2] == "5", f"not for this client: {line}"
        count += 1
        await bystander.until(1, "5")
    return count


@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("versions", [(157, 176, 178, 187, 193, 200), (201, 206, 213, 226)], ids=["text", "protobuf"])
async def test_hostile_clients_do_no_harm(connect, caplog, versions: tuple[int, ...]) -> None:
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with Gateway(tick_interval=0.005, on_rate="off", id_hold=0) as gateway:
        bystander = await connect(gateway.port, 1)
        bystander.subscribe(5)
        await bystander.until(58)
        tasks, live = asyncio.all_tasks(), gateway.seen.live_subscriptions(1)
        attacks = [
            asyncio.ensure_future(Hostile(gateway, connect, 10 + i, versions).attack(FRAMES // HOSTILE))
            for i in range(HOSTILE)
        ]
        asked = await watch_over(bystander, lambda: all(attack.done() for attack in attacks))
        await asyncio.gather(*attacks)
        assert failures == []
        assert asked > 10
        assert gateway.client_ids == [1]
        assert asyncio.all_tasks() <= tasks
        assert gateway.seen.live_subscriptions(1) == live
        assert list(gateway.seen.streams) == [1]
        told = [(record.levelname, record.getMessage()) for record in caplog.records]
        gc.collect()
        assert len([item for item in gc.get_objects() if isinstance(item, ClientConnection)]) == 1
    assert [message for level, message in told if level in ("ERROR", "CRITICAL")] == []
    assert len(told) < 3000, "what strangers send does not fill the log"
    assert all(message.isprintable() for _, message in told), "nor does it reach a terminal as it is"


async def test_32_clients_at_once_and_the_33rd_is_refused(gateway, connect) -> None:
    clients = [await connect(gateway.port, client_id) for client_id in range(32)]
    for client in clients:
        client.subscribe(5)
        client.send(61, 1)
    for client in clients:
        await client.until(62)
        await client.until(1, "5")
    late = await connect(gateway.port, 99, welcomed=False)
    assert await late.read() == b""
    assert gateway.client_ids == list(range(32))
    await clients[0].close()
    await gateway.wait_for(lambda gateway: len(gateway.client_ids) == 31)
    await connect(gateway.port, 99)


def test_a_mutated_request_is_often_one_that_the_gateway_knows() -> None:
    roll = random.Random(1)
    known = {encode_fields(item.message_id) for item in REQUESTS.values()}
    bodies = [mutated(roll) for _ in range(1000)]
    assert sum(body.split(b"\0")[0] + b"\0" in known for body in bodies) > 700
