"""Timers that are due together share one of the loop's, and are otherwise as the loop's own."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref

import pytest

from ibkr.runtime.timers import call_at

SOON = 0.02


async def over(loop: asyncio.AbstractEventLoop, due: float) -> None:
    """Behind everything that was set for this time."""
    passed = loop.create_future()
    loop.call_at(due + SOON, passed.set_result, None)
    await passed


async def test_those_of_one_moment_share_a_timer_and_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    made: list[float] = []
    own = loop.call_at
    monkeypatch.setattr(loop, "call_at", lambda due, *rest: made.append(due) or own(due, *rest))
    due, came = loop.time() + SOON, list[int]()
    for number in range(3):
        call_at(loop, due, lambda number=number: came.append(number))
    call_at(loop, due + SOON / 2, lambda: came.append(3))
    assert made == [due, due + SOON / 2]
    await over(loop, due)
    assert came == [0, 1, 2, 3]


async def test_one_that_is_cancelled_does_not_come() -> None:
    loop = asyncio.get_running_loop()
    due, came = loop.time() + SOON, list[str]()
    timers = [call_at(loop, due, lambda: came.append("first")), call_at(loop, due, lambda: came.append("second"))]
    timers[0].cancel()
    third = call_at(loop, due, lambda: fourth.cancel())
    fourth = call_at(loop, due, lambda: came.append("fourth"))
    await over(loop, due)
    assert came == ["second"]
    for timer in (*timers, third, fourth):
        timer.cancel()  # once more, or too late: harmless


async def test_when_all_are_cancelled_none_is_left_and_the_moment_can_be_used_again() -> None:
    loop = asyncio.get_running_loop()
    due, came = loop.time() + SOON, list[str]()
    call_at(loop, due, lambda: came.append("never")).cancel()
    call_at(loop, due, lambda: came.append("again"))
    await over(loop, due)
    assert came == ["again"]


async def test_one_that_fails_takes_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    due, came = loop.time() + SOON, list[str]()
    call_at(loop, due, lambda: 1 / 0)
    call_at(loop, due, lambda: came.append("other"))
    with caplog.at_level(logging.ERROR, "asyncio"):
        await over(loop, due)
    assert came == ["other"]
    assert "ZeroDivisionError" in caplog.text


async def test_one_that_is_set_for_its_own_moment_waits_its_turn() -> None:
    loop = asyncio.get_running_loop()
    due, came = loop.time() + SOON, list[str]()

    def first() -> None:
        call_at(loop, due, lambda: came.append("set anew"))
        loop.call_soon(came.append, "set for the next turn")

    call_at(loop, due, first)
    call_at(loop, due, lambda: came.append("other"))
    await over(loop, due)
    assert came[0] == "other"
    assert sorted(came[1:]) == ["set anew", "set for the next turn"]


def test_a_loop_is_not_kept_alive() -> None:
    loop = asyncio.new_event_loop()
    timer = call_at(loop, loop.time() + 60, lambda: None)
    gone = weakref.ref(loop)
    loop.close()
    del loop, timer
    gc.collect()
    assert gone() is None
