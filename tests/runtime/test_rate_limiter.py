"""The rate limiter: messages at the allowed rate, urgent ones first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from ibkr.core.priority import Priority
from ibkr.runtime.rate_limiter import RateLimiter


class Gone(list[object]):
    """The names of the writes that were made."""

    def __init__(self) -> None:
        super().__init__()
        self._is_over = asyncio.Event()

    def writer(self, name: object) -> Callable[[], bool]:
        """A write with this name."""

        def write() -> bool:
            self.append(name)
            if name == "last":
                self._is_over.set()
            return True

        return write

    async def last(self, within: float) -> None:
        """Wait for the write with the name "last"."""
        await asyncio.wait_for(self._is_over.wait(), within)


@pytest.fixture
def limiter() -> Iterator[RateLimiter]:
    limiter = RateLimiter(200.0, 3)
    yield limiter
    limiter.end()


async def test_a_burst_goes_at_once_the_rest_at_its_pace(limiter: RateLimiter) -> None:
    limiter.begin()
    loop = asyncio.get_running_loop()
    times: list[float] = []
    done = asyncio.Event()
    began = loop.time()

    def write() -> bool:
        times.append(loop.time())
        if len(times) == 13:
            done.set()
        return True

    for _ in range(13):
        limiter.send(write, Priority.OTHER)
    assert (len(times), limiter.has_waiting) == (3, True)
    await asyncio.wait_for(done.wait(), 5)
    assert not limiter.has_waiting
    assert times[-1] - began >= 10 / 200 - 0.001


async def test_what_is_urgent_overtakes(limiter: RateLimiter) -> None:
    limiter.begin()
    gone = Gone()
    for name in ("a", "b", "c", "d", "e"):
        limiter.send(gone.writer(name), Priority.OTHER)
    limiter.send(gone.writer("probe"), Priority.PROBE)
    limiter.send(gone.writer("cancel"), Priority.ORDER)
    limiter.send(gone.writer("order"), Priority.ORDER)
    limiter.send(gone.writer("last"), Priority.OTHER)
    await gone.last(5)
    assert gone == ["a", "b", "c", "cancel", "order", "probe", "d", "e", "last"]


async def test_what_waits_at_the_end_of_a_session_never_goes(limiter: RateLimiter) -> None:
    limiter.begin()
    gone = Gone()
    for number in range(10):
        limiter.send(gone.writer(number), Priority.OTHER)
    limiter.end()
    assert not limiter.has_waiting
    limiter.begin()
    for number in range(10, 13):
        limiter.send(gone.writer(number), Priority.OTHER)
    assert gone == [0, 1, 2, 10, 11, 12], "a new session begins with a burst"


async def test_slower_for_this_session_and_never_at_a_stand(limiter: RateLimiter) -> None:
    limiter.begin()
    for rate in (100.0, 50.0, 25.0, 12.5, 6.25, 5.0, 5.0):
        limiter.slow_down()
        assert limiter.rate == rate
    limiter.begin()
    assert limiter.rate == 200.0


async def test_a_write_that_sends_something_itself(limiter: RateLimiter) -> None:
    """A listener of the library's throttle events may send."""
    limiter.begin()
    gone = Gone()

    def write() -> bool:
        limiter.send(gone.writer("last"), Priority.OTHER)
        return gone.writer("first")()

    for number in range(3):
        limiter.send(gone.writer(number), Priority.OTHER)
    limiter.send(write, Priority.OTHER)
    await gone.last(5)
    assert gone[:3] == [0, 1, 2]
    assert sorted(map(str, gone[3:])) == ["first", "last"]  # their order depends on the time that has passed


async def test_a_write_that_ends_the_session_within_a_group(
    limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter.begin()
    gone, errors, dropped = Gone(), list[object](), asyncio.Event()
    monkeypatch.setattr(
        asyncio.get_running_loop(), "call_exception_handler", lambda context: errors.append(context["exception"])
    )

    def end() -> bool:
        limiter.end()
        return True

    for number in range(3):
        limiter.send(gone.writer(number), Priority.OTHER)
    for write in (end, gone.writer("last")):
        limiter.send(write, Priority.OTHER, lambda _why: dropped.set(), group="one")
    await asyncio.wait_for(dropped.wait(), 5)
    await asyncio.sleep(0)
    assert (gone, errors) == ([0, 1, 2], [])


async def test_a_write_that_fails_does_not_keep_the_others(
    limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter.begin()
    gone, errors = Gone(), list[object]()
    monkeypatch.setattr(
        asyncio.get_running_loop(), "call_exception_handler", lambda context: errors.append(context["exception"])
    )

    def fail() -> bool:
        raise ValueError("bad")

    for number in range(3):
        limiter.send(gone.writer(number), Priority.OTHER)
    for write in (fail, gone.writer("next"), gone.writer("last")):
        limiter.send(write, Priority.OTHER, group="one")
    await gone.last(5)
    assert gone[3:] == ["next", "last"]
    assert [str(error) for error in errors] == ["bad"]


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_group_of_which_one_is_refused_is_dropped(limiter: RateLimiter, at_once: bool) -> None:
    limiter.begin()
    gone, reasons = Gone(), list[str]()
    for number in range(3):
        limiter.send(gone.writer(number), Priority.ORDER)
    for _ in range(200):  # the limit is reached
        limiter.count_sent()
    for refusal in ("", "the second may not be sent", ""):
        limiter.send(gone.writer("never"), Priority.ORDER, reasons.append, "one", lambda refusal=refusal: refusal)
    limiter.send(gone.writer("last"), Priority.ORDER, group="another")
    if at_once:
        limiter.send_orders_now()
    await gone.last(5)
    assert gone == [0, 1, 2, "last"]
    assert reasons == ["the second may not be sent"] * 3


async def test_a_message_that_is_refused_does_not_count(limiter: RateLimiter) -> None:
    limiter.begin()
    gone, reasons = Gone(), list[str]()
    for _ in range(5):
        limiter.send(gone.writer("never"), Priority.OTHER, reasons.append, refusal=lambda: "no")
    for number in range(3):
        limiter.send(gone.writer(number), Priority.OTHER)
    assert gone == [0, 1, 2], "the burst"
    assert reasons == ["no"] * 5
