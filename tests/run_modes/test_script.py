"""A plain script: its loop does not run between the calls, and its answers are still up to date."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from ibkr import ConnectionState, IBConnector, Status
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make

pytestmark = pytest.mark.usefixtures("script_loop")


@pytest.mark.parametrize(
    "look",
    [
        lambda connector: connector.status.may_trade,
        lambda connector: connector.may_trade,
        lambda connector: connector.is_connected(),
        lambda connector: connector.connected,
    ],
)
def test_what_it_says_after_a_rest_is_true_now(
    make: Make, gateway: ThreadedGateway, look: Callable[[IBConnector], bool]
) -> None:
    connector = make()
    connector.connect()
    assert look(connector)
    gateway.fault("reset")
    gateway.wait_for(lambda gateway: not gateway.client_ids)
    before = dt.datetime.now(dt.UTC)
    assert not look(connector)
    assert connector.status.as_of > before


def test_its_repr_shows_the_last_known_status_and_runs_nothing(
    make: Make, gateway: ThreadedGateway, script_loop: asyncio.AbstractEventLoop
) -> None:
    connector = make()
    assert "DISCONNECTED" in repr(connector)
    connector.connect()
    assert "READY" in repr(connector)
    assert f"127.0.0.1:{gateway.port} client 7" in str(connector)
    told: list[Status] = []
    connector.on_status(told.append)
    ran: list[int] = []
    script_loop.call_soon(ran.append, 1)
    gateway.fault("reset")
    gateway.wait_for(lambda gateway: not gateway.client_ids)
    last = repr(connector)
    assert ("READY" in last, told, ran) == (True, [], [])
    assert connector.status.state is ConnectionState.RECONNECTING, "a question turns the loop"
    assert "RECONNECTING" in repr(connector)
    assert (told != [], ran) == (True, [1])


def test_nothing_is_lost_by_a_rest(make: Make, gateway: ThreadedGateway, apple: Any) -> None:
    connector = make()
    connector.connect()
    ticker = connector.ib.reqMktData(apple)
    while connector.age(ticker) is None:
        connector.sleep(0.01)
    gateway.fault("reset")
    gateway.wait_for(lambda gateway: not gateway.client_ids)
    assert connector.status.state is ConnectionState.RECONNECTING
    assert connector.wait_ready(5).outages == 1
    while connector.age(ticker) is None:
        connector.sleep(0.01)
    assert connector.ib.tickers() == [ticker]
    assert connector.stats.attempts == 2


def test_commands_turn_the_loop_first(make: Make, gateway: ThreadedGateway) -> None:
    connector = make(closed_every=60)
    connector.connect()
    gateway.fault("close_on_accept")
    gateway.fault("reset")
    while connector.status.next_retry_at is None:
        connector.sleep(0.01)
    gateway.fault("clear")
    connector.retry_now()
    assert connector.wait_ready(5).outages == 1


def test_run_ends_with_the_connection(make: Make, gateway: ThreadedGateway) -> None:
    connector = make()
    connector.on_status(lambda status: status.state is ConnectionState.RECONNECTING and connector.disconnect())
    for run in (connector.run, connector.ib.run):
        connector.connect()
        gateway.fault("reset")
        run()
        assert connector.status.state is ConnectionState.DISCONNECTED


def test_the_library_s_blocking_calls_are_as_usual(make: Make, apple: Any) -> None:
    connector = make()
    connector.connect()
    ib = connector.ib
    [details] = ib.reqContractDetails(apple)
    assert details.contract.conId == 265598
    assert ib.reqPositions() == ib.positions()
    assert ib.run(asyncio.sleep(0, 1), asyncio.sleep(0, 2)) == [1, 2]
    assert ib.sleep(0.01) is True
    ib.reqMktData(apple)
    assert ib.waitOnUpdate(5) is True
    assert next(islice(ib.loopUntil(lambda: ib.tickers()[0].bid > 0, 5), 1000, None), None) is None
    soon = dt.datetime.now() + dt.timedelta(seconds=0.02)
    assert ib.waitUntil(soon) is True
    assert dt.datetime.now() >= soon
    assert len(list(ib.timeRange(soon, soon + dt.timedelta(seconds=0.1), 0.05))) >= 1
    ib.RequestTimeout = 0.05
    with pytest.raises(TimeoutError):
        ib.run(asyncio.sleep(60), timeout=0.05)


def test_wait_on_update_ends_after_its_timeout(make: Make) -> None:
    connector = make()
    connector.connect()
    connector.sleep(0.05)
    assert connector.ib.waitOnUpdate(0.01) is False


def test_the_end_of_another_session_does_not_reach_a_blocking_call(make: Make) -> None:
    with ThreadedGateway(id_hold=0) as other_gateway:
        calm, dying = make(1), make(2, port=other_gateway.port)
        calm.connect()
        dying.connect()
        closing = threading.Timer(0.1, other_gateway.fault, ["close"])
        closing.start()
        for _ in range(20):
            assert calm.ib.reqCurrentTime()
            assert calm.ib.sleep(0.02) is True
        closing.join()
        while not dying.status.outages:
            assert calm.ib.sleep(0.02) is True
        assert (calm.status.outages, dying.status.outages) == (0, 1)
        dying.stop()


def test_call_is_the_same_here(make: Make) -> None:
    connector = make()
    connector.connect()
    assert connector.call(lambda ib: ib.reqCurrentTimeAsync())
    assert connector.call(lambda ib: ib is connector.ib)


def test_a_loop_that_rests_cannot_be_reached_from_another_thread(make: Make) -> None:
    connector = make()
    connector.connect()
    raised: list[Exception] = []

    def elsewhere() -> None:
        for use in (lambda: connector.ib, connector.wait_ready, lambda: connector.call(lambda ib: 1)):
            try:
                use()
            except RuntimeError as error:
                raised.append(error)
        assert connector.status.state is ConnectionState.READY

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(5)
    assert ["call(" in str(raised[0]), *("start_in_thread()" in str(error) for error in raised[1:])] == [True] * 3


if sys.version_info < (3, 14):  # from this version on, nest_asyncio cannot patch a loop

    def test_in_a_loop_that_the_program_has_patched_blocking_calls_work(gateway: ThreadedGateway) -> None:
        program = f"""
import asyncio
import nest_asyncio
from ibkr import IBConnector
async def main():
    nest_asyncio.apply()
    with IBConnector("127.0.0.1", {gateway.port}, 7) as connector:
        print(bool(connector.ib.reqCurrentTime()), connector.ib.sleep(0.01), connector.status.state)
asyncio.run(main())
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
        assert done.stdout == "True True READY\n", done.stderr
