"""A sink that is slow, stuck or broken loses only its own statuses, and delays no other sink."""

import logging
import threading

from ibkr.core.states import ConnectionState as S
from ibkr.observe.sink import Relay


class Gate:
    """A sink that waits for a permission with its first status."""

    def __init__(self) -> None:
        self.entered, self.leave, self.told, self.closed = threading.Event(), threading.Event(), [], False

    def handle(self, status) -> None:
        self.entered.set()
        assert self.leave.wait(10)
        self.told.append(status)

    def close(self) -> None:
        self.closed = True


def test_a_stuck_sink_delays_nobody_and_keeps_the_latest(at, caplog, stopwatch):
    sink = Gate()
    relay = Relay(sink, limit=3, repeat=60)
    relay(at(0, S.READY))
    assert sink.entered.wait(10)
    elapsed = stopwatch()
    for second in range(1, 1001):
        relay(at(second, S.READY))
    assert elapsed() < 1
    assert relay.dropped == 997
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1  # not 997 lines
    sink.leave.set()
    assert relay.close(10)
    assert [status.since.second for status in sink.told] == [0, 38, 39, 40]  # 0 and 998, 999, 1000
    assert sink.closed


def test_a_failing_sink_is_counted_logged_with_its_traceback_and_asked_again(at, caplog):
    failing = threading.Semaphore(0)

    class Broken(Gate):
        def handle(self, status) -> None:
            failing.release()
            raise OSError("disk full")

    sink = Broken()
    relay = Relay(sink, name="history", repeat=60)
    for second in range(3):
        relay(at(second, S.READY))
    assert relay.close(10)
    assert (relay.failed, relay.dropped, sink.closed) == (3, 0, True)
    [told] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "history" in told.message
    assert "disk full" in caplog.text


def test_the_last_status_comes_again_until_there_is_news(at):
    times = threading.Semaphore(0)

    class Counting(Gate):
        def handle(self, status) -> None:
            self.told.append(status)
            times.release()

    sink = Counting()
    relay = Relay(sink, repeat=0.01)
    relay(at(0, S.READY))
    for _ in range(4):
        assert times.acquire(timeout=10)
    relay.submit(lambda gap: sink.told.append(gap), "a gap")  # the report comes only once, because it is not a status
    for _ in range(4):
        assert times.acquire(timeout=10)
    assert relay.close(10)
    assert sink.told.count("a gap") == 1
    relay(at(1, S.READY))  # after the end, this starts nothing


def test_a_sink_that_hangs_is_left_behind(at, caplog):
    sink = Gate()
    relay = Relay(sink)
    relay(at(0, S.READY))
    assert sink.entered.wait(10)
    assert not relay.close(0.01)
    assert "still runs" in caplog.text
    sink.leave.set()
    assert relay.close(10)


def test_a_relay_that_was_never_used_closes_its_sink():
    sink = Gate()
    assert Relay(sink).close()
    assert sink.closed
