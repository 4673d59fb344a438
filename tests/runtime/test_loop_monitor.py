"""The loop monitor: one timer for all listeners, and none without a listener."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from types import SimpleNamespace

import pytest

from ibkr.runtime import loop_monitor
from ibkr.runtime.loop_monitor import PERIOD, monitor_of


class Listener:
    def __init__(self) -> None:
        self.blockages: list[float] = []
        self.jumps: list[float] = []
        self.told = asyncio.Event()

    def blocked(self, seconds: float) -> None:
        self.blockages.append(seconds)
        self.told.set()

    def jumped(self, seconds: float) -> None:
        self.jumps.append(seconds)
        self.told.set()


async def test_all_who_listen_hear_of_a_blockage_and_its_length() -> None:
    beat = monitor_of(asyncio.get_running_loop())
    one, other = Listener(), Listener()
    for listener in (one, other):
        beat.add(listener)
    began = time.monotonic()
    time.sleep(0.7)  # noqa: ASYNC251 - blocks the loop on purpose
    await asyncio.wait_for(one.told.wait(), 5)
    longest = time.monotonic() - began + PERIOD
    for listener in (one, other):
        beat.remove(listener)
        assert 0.7 - PERIOD / 2 <= listener.blockages[0] < longest
        assert listener.jumps == []


async def test_a_jump_of_the_wall_clock_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    beat = monitor_of(asyncio.get_running_loop())
    listener = Listener()
    beat.add(listener)
    monkeypatch.setattr(loop_monitor, "time", SimpleNamespace(time=lambda: time.time() + 600))
    await asyncio.wait_for(listener.told.wait(), 5)
    listener.told.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(listener.told.wait(), 3 * PERIOD)
    beat.remove(listener)
    [jump] = listener.jumps
    assert 599 < jump < 601


async def test_it_beats_only_while_somebody_listens() -> None:
    loop = asyncio.get_running_loop()
    beat = monitor_of(loop)
    assert monitor_of(loop) is beat
    one, other = Listener(), Listener()
    beat.add(one)
    beat.add(other)
    beat.remove(one)
    assert beat._timer is not None
    beat.remove(other)
    assert beat._timer is None
    beat.remove(other)  # this second call changes nothing


def test_a_loop_is_not_kept_alive() -> None:
    loop = asyncio.new_event_loop()
    monitor_of(loop)
    gone = weakref.ref(loop)
    loop.close()
    del loop
    gc.collect()
    assert gone() is None
