"""The queue for observers is limited. If an observer fails, only this observer stops."""

from __future__ import annotations

import asyncio

import pytest

from ibkr.proxy.cleaning import Cleaner
from ibkr.proxy.connection_parser import ConnectionParser
from ibkr.proxy.observer_queue import ObserverQueue
from ibkr.wire import ClientHello, encode_fields, frame, hello_bytes, version_frame

TICKS = frame(encode_fields(1, 6, 9000, 4, 202.55, 2, 0)) * 5000

LIMIT = 500_000


class Counting:
    """Counts what it gets."""

    wants_streams = True

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.why = ""

    def on_open(self, conversation, at) -> None:
        self.seen.append("on_open")

    def on_message(self, at, is_request, cleaned) -> None:
        self.seen.append(cleaned.name)

    def on_batch_end(self) -> None: ...

    def on_close(self, at, why) -> None:
        self.why = why


class Failing(Counting):
    def on_message(self, at, is_request, cleaned) -> None:
        raise RuntimeError("a mistake of ours")


def observed(*observers, **options) -> ObserverQueue:
    observation = ObserverQueue(ConnectionParser(), Cleaner(), observers, **options)
    observation.client_sent(hello_bytes(ClientHello(157, 178)))
    observation.gateway_sent(version_frame(178, "x"))
    return observation


async def test_when_too_much_waits_more_is_asked_to_wait() -> None:
    held: list[bool] = []
    released = asyncio.Event()

    def hold(is_held: bool) -> None:
        held.append(is_held)
        if not is_held:
            released.set()

    counting = Counting()
    observation = observed(counting, set_paused=hold, limit=LIMIT)
    sent = 0
    while not held:
        observation.gateway_sent(TICKS)
        sent += 5000
        assert observation._bytes < LIMIT + 4 * len(TICKS)
    assert held == [True]
    await asyncio.wait_for(released.wait(), 60)
    assert held == [True, False]
    observation.close("over")
    observation.flush()
    assert len(counting.seen) == 1 + sent
    assert counting.why == "over"


async def test_empty_messages_count_too() -> None:
    held: list[bool] = []
    observation = observed(Counting(), set_paused=held.append, limit=LIMIT)
    observation.gateway_sent(bytes(LIMIT))
    assert held == [True]
    observation.close("")
    observation.flush()


async def test_without_anybody_to_hold_the_work_is_done_at_once() -> None:
    counting = Counting()
    observation = observed(counting, limit=1000)
    observation.gateway_sent(TICKS)
    assert len(counting.seen) == 5001
    observation.close("")
    observation.flush()


async def test_a_long_backlog_does_not_stop_the_loop() -> None:
    finished = asyncio.Event()
    counting = Counting()
    observation = observed(counting, on_finished=finished.set)
    for _ in range(5):
        observation.gateway_sent(TICKS)
    observation.close("over")
    assert len(counting.seen) < 5 * 5000, "close() leaves the work to later turns of the loop"
    assert not finished.is_set()
    await asyncio.wait_for(finished.wait(), 60)
    assert len(counting.seen) == 1 + 5 * 5000


async def test_a_failing_observer_stops_alone(caplog: pytest.LogCaptureFixture) -> None:
    failing, counting = Failing(), Counting()
    observation = observed(failing, counting)
    observation.gateway_sent(TICKS)
    observation.close("over")
    observation.flush()
    assert len(counting.seen) == 5001
    assert (failing.why, counting.why) == ("", "over")
    assert [record.getMessage() for record in caplog.records] == [
        f"{failing} stops: a mistake of ours. The connection continues"
    ]
