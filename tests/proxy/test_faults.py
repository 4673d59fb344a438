"""The proxy's faults: their effect on the bytes, and their refusal on a live account."""

from __future__ import annotations

import asyncio

import pytest
from ib_async import Stock

from ibkr.proxy.proxy_faults import PROXY_FAULTS
from ibkr.simulator.faults.fault_registry import FaultError
from ibkr.wire import ClientHello, encode_fields, frame, hello_bytes, messages, version_frame
from tests.proxy.fault_arguments import ARGUMENTS

HELLO = hello_bytes(ClientHello(157, 178))
VERSION = version_frame(178, "20261129 10:00:00 UTC")
ACCOUNTS = frame(encode_fields(15, 1, "DU1234567"))


def message(name: str, **values: object) -> bytes:
    layout = messages.LAYOUTS[name]
    return frame(layout.encode(178, **values))


TIME = message("currentTime", time=5)
SIZE = message("tickSize", req_id=1, tick_type=0, size=3)


@pytest.fixture
async def session(plain, new_proxy, connect):
    """A proxy, a client that has read version and accounts, and the gateway's side."""
    proxy = await new_proxy(plain.port)
    client = await connect(proxy.port)
    peer = await plain.next()
    await client.write(HELLO)
    await peer.read(len(HELLO))
    await peer.write(VERSION + ACCOUNTS)
    await client.read(len(VERSION + ACCOUNTS))
    return proxy, client, peer


async def test_a_message_is_dropped_and_those_beside_it_pass(session):
    proxy, client, peer = session
    proxy.faults.drop_message("currentTime")
    await peer.write(SIZE + TIME + SIZE)
    assert await client.read(2 * len(SIZE)) == SIZE * 2
    proxy.faults.clear()
    await peer.write(TIME)
    assert await client.read(len(TIME)) == TIME


async def test_a_message_is_sent_twice_so_many_times(session):
    proxy, client, peer = session
    proxy.faults.duplicate_message("currentTime", 2)
    await peer.write(TIME * 3)
    assert await client.read(5 * len(TIME)) == TIME * 5


async def test_a_message_is_late(session):
    proxy, client, peer = session
    proxy.faults.delay_message("currentTime", 0.05)
    await peer.write(TIME + SIZE)
    assert await client.read(len(TIME) + len(SIZE)) == SIZE + TIME


async def test_a_message_is_cut_short_and_then_it_ends(session):
    proxy, client, peer = session
    proxy.faults.truncate_message("currentTime")
    await peer.write(SIZE + TIME + SIZE)
    assert await client.read_to_end() == SIZE + TIME[: 4 + (len(TIME) - 4) // 2]
    client.writer.write_eof()
    assert await peer.read_to_end() == b""


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 9])
async def test_a_frame_that_has_begun_to_pass_is_left_alone(session, cut):
    proxy, client, peer = session
    await peer.write(TIME[:cut])
    await client.read(cut)
    proxy.faults.drop_message("currentTime")
    await peer.write(TIME[cut : cut + 1])
    await peer.write(TIME[cut + 1 :] + TIME + SIZE)
    assert await client.read(len(TIME) - cut + len(SIZE)) == TIME[cut:] + SIZE
    await peer.write(TIME + SIZE[:cut])  # from here on, the proxy forwards only complete frames
    await peer.write(SIZE[cut:])
    assert await client.read(len(SIZE)) == SIZE


@pytest.mark.parametrize("cut", [1, 4, 7])
async def test_when_faults_end_a_frame_that_was_held_goes_on(session, cut):
    proxy, client, peer = session
    proxy.faults.drop_message("currentTime")
    await peer.write(SIZE + TIME[:cut])
    assert await client.read(len(SIZE)) == SIZE
    proxy.faults.clear()
    assert await client.read(cut) == TIME[:cut]
    await peer.write(TIME[cut:] + SIZE)
    assert await client.read(len(TIME) - cut + len(SIZE)) == TIME[cut:] + SIZE


async def test_an_error_does_not_fall_into_a_frame(session):
    proxy, client, peer = session
    await peer.write(TIME[:6])
    await client.read(6)
    proxy.faults.error(1100)
    await peer.write(TIME[6:] + SIZE)
    assert await client.read(len(TIME) - 6 + len(SIZE)) == TIME[6:] + SIZE
    body = await client.read(int.from_bytes(await client.read(4), "big"))
    assert messages.ERROR.decode(178, body)["code"] == 1100
    assert "lost" in str(messages.ERROR.decode(178, body)["text"])
    await peer.write(SIZE)
    assert await client.read(len(SIZE)) == SIZE


async def test_an_error_for_an_order(session):
    proxy, client, _ = session
    proxy.faults.call("error", "201", req_id="17", text="no")
    size = int.from_bytes(await client.read(4), "big")
    values = messages.ERROR.decode(178, await client.read(size))
    assert (values["req_id"], values["code"], values["text"]) == (17, 201, "no")


async def test_every_byte_by_itself_and_all_of_a_time_in_one(session):
    proxy, client, peer = session
    proxy.faults.split_frames()
    await peer.write(TIME * 20)
    assert await client.read(len(TIME) * 20) == TIME * 20
    proxy.faults.clear()
    proxy.faults.merge_frames(0.05)
    for _ in range(5):
        await peer.write(TIME)
    assert await client.read(len(TIME) * 5) == TIME * 5


@pytest.mark.parametrize("name", ["slow", "delay"])
async def test_slow_and_late_bytes_are_the_same(session, name):
    proxy, client, peer = session
    proxy.faults.call(name, 20_000 if name == "slow" else 0.02)
    await peer.write(TIME * 100)
    assert await client.read(len(TIME) * 100) == TIME * 100


async def test_frozen_nothing_reaches_the_client_and_nothing_is_lost(session):
    proxy, client, peer = session
    proxy.faults.freeze()
    await peer.write(TIME)
    await client.write(frame(encode_fields(49, 1)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.reader.read(1), 0.1)
    proxy.faults.thaw()
    assert await client.read(len(TIME)) == TIME
    assert await peer.read(len(frame(encode_fields(49, 1)))) == frame(encode_fields(49, 1))


async def test_frozen_it_accepts_and_says_nothing_until_it_is_thawed(plain, new_proxy, connect):
    proxy = await new_proxy(plain.port)
    proxy.faults.freeze()
    client = await connect(proxy.port)
    await client.write(HELLO)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(plain.accepted.get(), 0.1)
    proxy.faults.clear()
    peer = await plain.next()
    assert await peer.read(len(HELLO)) == HELLO


async def test_frozen_the_memory_is_bounded(session):
    proxy, _, peer = session
    proxy.faults.freeze()
    block, written = frame(bytes(1 << 20)), 0

    async def write() -> None:
        nonlocal written
        while True:
            peer.writer.write(block)
            await peer.writer.drain()
            written += 1

    def waiting() -> int:
        return sum(delivery._send_queue.waiting for delivery in proxy.faults._deliveries.values())

    writing = asyncio.create_task(write())
    async with asyncio.timeout(10):
        while waiting() <= 1 << 20:  # noqa: ASYNC110 - no event shows this
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # the queue must not grow in this time
    writing.cancel()
    assert 1 << 20 < waiting() < 3 << 20
    assert written < 40  # the rest waits in the kernel


async def test_a_muted_request_gets_no_answer_and_reaches_the_gateway(gateway, new_proxy, ib):
    proxy = await new_proxy(gateway.port)
    await ib.connectAsync("127.0.0.1", proxy.port, clientId=7)
    proxy.faults.mute("reqContractDetails")
    unknown = Stock("NOSUCH", "SMART", "USD")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ib.reqContractDetailsAsync(unknown), 0.2)
    assert len(gateway.seen.received("reqContractDetails")) == 1
    assert (await ib.reqCurrentTimeAsync()).year > 2000
    proxy.faults.clear()
    assert await ib.reqContractDetailsAsync(unknown) == []
    ib.disconnect()


@pytest.mark.parametrize("fault", ["reset", "close"])
async def test_what_the_client_has_sent_reaches_the_gateway_whatever_happens_to_the_client(session, fault):
    proxy, client, peer = session
    orders = frame(encode_fields(3, "x" * 1000)) * 20
    client.writer.write(orders)  # the kernel now has the orders, and the proxy has not read them
    proxy.faults.call(fault)
    if fault == "close":
        assert await client.read_to_end() == b""
        client.writer.write(TIME)
        client.writer.write_eof()
        orders += TIME
    assert await peer.read_to_end() == orders


# --- on a live account ------------------------------------------------------------------------------


LIVE = frame(encode_fields(15, 1, "DU1,U7654321"))


async def test_on_a_live_account_every_fault_is_refused(plain, new_proxy, connect):
    proxy = await new_proxy(plain.port)
    client = await connect(proxy.port)
    peer = await plain.next()
    await client.write(HELLO)
    await peer.write(VERSION + LIVE)
    await client.read(len(VERSION + LIVE))
    for fault in PROXY_FAULTS.values():
        if fault.name in ("thaw", "clear"):
            continue
        with pytest.raises(FaultError, match="the account is live"):
            proxy.faults.call(fault.name, *ARGUMENTS.get(fault.name, ()))
    await peer.write(TIME)
    assert await client.read(len(TIME)) == TIME


async def test_an_empty_list_of_accounts_does_not_end_the_protection(plain, new_proxy, connect):
    proxy = await new_proxy(plain.port)
    client = await connect(proxy.port)
    peer = await plain.next()
    await client.write(HELLO)
    sent = VERSION + LIVE + frame(encode_fields(15, 1, ""))
    await peer.write(sent)
    await client.read(len(sent))
    with pytest.raises(FaultError, match="the account is live"):
        proxy.faults.reset()


@pytest.mark.parametrize("body", [encode_fields(15, 1, "DU1,U7654321", ""), encode_fields(15)])
async def test_a_live_account_in_a_message_of_another_form(plain, new_proxy, connect, body):
    proxy = await new_proxy(plain.port)
    client = await connect(proxy.port)
    peer = await plain.next()
    await client.write(HELLO)
    sent = VERSION + frame(body)
    await peer.write(sent)
    await client.read(len(sent))
    with pytest.raises(FaultError, match="the account is live"):
        proxy.faults.reset()


async def test_a_live_account_ends_faults_that_hold(plain, new_proxy, connect, caplog):
    proxy = await new_proxy(plain.port)
    proxy.faults.drop_message("currentTime")
    client = await connect(proxy.port)
    peer = await plain.next()
    await client.write(HELLO)
    await peer.write(VERSION + LIVE)
    await client.read(len(VERSION + LIVE))
    await peer.write(TIME)
    assert await client.read(len(TIME)) == TIME
    assert "a live account: all faults are ended" in caplog.text


async def test_no_fault_acts_on_the_message_that_tells_of_a_live_account(plain, new_proxy, connect):
    proxy = await new_proxy(plain.port)
    proxy.faults.drop_message("managedAccounts")
    proxy.faults.delay(30)
    client = await connect(proxy.port)
    peer = await plain.next()
    await client.write(HELLO)
    await peer.write(VERSION + LIVE + TIME)
    assert await client.read(len(VERSION + LIVE + TIME)) == VERSION + LIVE + TIME


async def test_live_allows_them(plain, new_proxy, connect):
    proxy = await new_proxy(plain.port, allows_live=True)
    client = await connect(proxy.port)
    peer = await plain.next()
    await client.write(HELLO)
    await peer.write(VERSION + LIVE)
    await client.read(len(VERSION + LIVE))
    proxy.faults.close()
    assert await client.read_to_end() == b""
