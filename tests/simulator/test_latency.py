"""Answer times: drawn from a range, per request, and the order of answers stays the same."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ibkr.simulator import Gateway, ThreadedGateway, load_scenario

Connect = Callable[..., Awaitable[Any]]


async def seconds_of(client: Any, *request: object, end: int) -> float:
    """Send a request. Returns the seconds until its answer."""
    loop = asyncio.get_running_loop()
    asked = loop.time()
    client.send(*request)
    await client.until(end)
    return loop.time() - asked


async def test_every_answer_takes_its_time(connect: Connect) -> None:
    async with Gateway(latency="30-60ms") as gateway:
        client = await connect(gateway.port, 1)
        taken = [await seconds_of(client, 49, 1, end=49) for _ in range(10)]
    assert all(seconds >= 0.03 for seconds in taken)
    assert max(taken) - min(taken) > 0.005


async def test_the_same_seed_draws_the_same_times() -> None:
    first, again, other = (Gateway(latency="20-300ms", seed=seed)._state for seed in (5, 5, 6))
    drawn = [
        [state.settings.latency.draw("placeOrder", state.rng) for _ in range(5)] for state in (first, again, other)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(0.02 <= seconds <= 0.3 for seconds in drawn[0])


async def test_a_latency_for_one_request(connect: Connect) -> None:
    async with Gateway(latency="reqPositions=300ms") as gateway:
        client = await connect(gateway.port, 1)
        assert await seconds_of(client, 61, 1, end=62) >= 0.3
        assert await seconds_of(client, 49, 1, end=49) < 0.3


async def test_a_quick_answer_waits_for_the_slow_one_before_it(connect: Connect) -> None:
    async with Gateway(latency="reqPositions=80ms,reqCurrentTime=1ms") as gateway:
        client = await connect(gateway.port, 1)
        client.send(61, 1)
        client.send(49, 1)
        assert [line[0] for line in await client.until(49)] == ["61", "61", "62", "49"]


async def test_the_gateway_itself_acts_at_once(connect: Connect, plain_order: Callable[..., list[object]]) -> None:
    async with Gateway(latency="100s") as gateway:
        client = await connect(gateway.port)
        await client.hello()
        await client.start_api(1)
        client.send(3, 5, *plain_order("LMT", 1.0))
        await gateway.wait_for(lambda gateway: [order.order_id for order in gateway.orders] == [5])


async def test_what_a_scenario_does_after_a_request_comes_after_its_answer(connect: Connect, tmp_path: Path) -> None:
    (file := tmp_path / "mine.toml").write_text(
        'about = "Mine."\n[[step]]\nafter = "reqCurrentTime"\nfault = "reset"\n'
    )
    async with Gateway(latency="reqCurrentTime=50ms", id_hold=0) as gateway:
        gateway.play(load_scenario(file))
        client = await connect(gateway.port, 1)
        client.send(49, 1)
        assert (await client.receive())[0] == "49"
        assert await client.ended() == "reset"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fast", "'fast' is not a time or a range of times; write 20-300ms"),
        ("300-20ms", "'300-20ms': the first time is longer than the second; write 20-300ms"),
        ("20", "'20' has no unit (ms or s); write 20-300ms"),
        ("20-300", "'20-300' has no unit (ms or s); write 20-300ms"),
        ("", "write 20-300ms"),
        ("placeOrders=20ms", "latency: no request 'placeOrders'; perhaps: placeOrder"),
    ],
)
def test_what_is_no_answer_time(text: str, words: str) -> None:
    with pytest.raises(ValueError, match="latency: ") as caught:
        ThreadedGateway(latency=text)
    assert words in str(caught.value)
