"""The limiter: at the pace that the gateway allows, what is urgent first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from ibkr.core.urgency import Urgency
from ibkr.runtime.limiter import Limiter


@pytest.fixture
def limiter() -> Iterator[Limiter]:
    limiter = Limiter(200.0, 3)
    yield limiter
    limiter.end()


async def test_a_burst_goes_at_once_the_rest_at_its_pace(limiter: Limiter) -> None:
    limiter.begin()
    loop = asyncio.get_running_loop()
    times: list[float] = []
    done = asyncio.Event()
    began = loop.time()
    for number in range(13):
        limiter.send(lambda last=number == 12: (times.append(loop.time()), last and done.set()), Urgency.REST)
    assert (len(times), limiter.is_holding) == (3, True)
    await asyncio.wait_for(done.wait(), 5)
    assert not limiter.is_holding
    assert times[-1] - began >= 10 / 200 - 0.001


async def test_what_is_urgent_overtakes(limiter: Limiter) -> None:
    limiter.begin()
    gone: list[str] = []
    done = asyncio.Event()
    for name in ("a", "b", "c", "d", "e"):
        limiter.send(lambda name=name: gone.append(name), Urgency.REST)
    limiter.send(lambda: gone.append("probe"), Urgency.PROBE)
    limiter.send(lambda: gone.append("cancel"), Urgency.ORDER)
    limiter.send(lambda: (gone.append("order"),), Urgency.ORDER)
    limiter.send(done.set, Urgency.REST)
    await asyncio.wait_for(done.wait(), 5)
    assert gone == ["a", "b", "c", "cancel", "order", "probe", "d", "e"]


async def test_what_waits_at_the_end_of_a_session_never_goes(limiter: Limiter) -> None:
    limiter.begin()
    gone: list[int] = []
    for number in range(10):
        limiter.send(lambda number=number: gone.append(number), Urgency.REST)
    limiter.end()
    assert not limiter.is_holding
    limiter.begin()
    for number in range(10, 13):
        limiter.send(lambda number=number: gone.append(number), Urgency.REST)
    assert gone == [0, 1, 2, 10, 11, 12], "a new session begins with a burst"


async def test_slower_for_this_session_and_never_at_a_stand(limiter: Limiter) -> None:
    limiter.begin()
    for rate in (100.0, 50.0, 25.0, 12.5, 6.25, 5.0, 5.0):
        limiter.slow_down()
        assert limiter.rate == rate
    limiter.begin()
    assert limiter.rate == 200.0


async def test_a_write_that_sends_something_itself(limiter: Limiter) -> None:
    """As a listener of the library's throttle events may."""
    limiter.begin()
    gone: list[str] = []
    done = asyncio.Event()

    def write() -> None:
        gone.append("first")
        limiter.send(lambda: (gone.append("second"), done.set()), Urgency.REST)

    for _ in range(3):
        limiter.send(lambda: None, Urgency.REST)
    limiter.send(write, Urgency.REST)
    await asyncio.wait_for(done.wait(), 5)
    assert gone == ["first", "second"]
