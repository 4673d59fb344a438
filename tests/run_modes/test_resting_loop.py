"""Calls of a helper thread at the moment at which the event loop of a plain script stops: none waits forever.

Each test brings about that moment. The thread of the loop waits inside a callback until the helper thread has submitted
its call. Then the loop makes a limited number of turns.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

import pytest
from ib_async import MarketOrder

from ibkr import ConnectionState, IBConnector, NotReady
from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.runtime import cross_thread
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make

pytestmark = pytest.mark.usefixtures("script_loop")

WITHIN = 5.0
"""Seconds that a helper may take to come back."""


class Helper:
    """A thread that uses the connector once. ``outcome()`` is its result or its exception."""

    def __init__(self, use: Callable[[], object]) -> None:
        self._use = use
        self._outcome: SimpleQueue[object] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._outcome.put(self._use())
        except BaseException as error:
            self._outcome.put(error)

    def outcome(self) -> object:
        """Wait for its end, while the loop rests. Raises ``queue.Empty`` if it does not come back."""
        outcome = self._outcome.get(timeout=WITHIN)
        self.thread.join(WITHIN)
        return outcome


def meet_the_end_of_a_turn(connector: IBConnector, use: Callable[[], object], turns: int) -> Helper:
    """Run the loop until a helper thread has handed over its call, then for so many turns. After that, it rests."""
    helper = Helper(use)
    handed_over = threading.Event()

    async def main(ib: Any) -> None:
        loop = asyncio.get_running_loop()
        hand_over = loop.call_soon_threadsafe

        def seen(*arguments: Any, **options: Any) -> asyncio.Handle:
            handle = hand_over(*arguments, **options)
            handed_over.set()
            return handle

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_soon_threadsafe", seen)
            helper.thread.start()
            assert handed_over.wait(WITHIN)
        for _ in range(turns):
            await asyncio.sleep(0)

    connector.call(main)
    return helper


@pytest.fixture
def connector(make: Make) -> IBConnector:
    connector = make()
    connector.connect()
    return connector


def test_a_call_that_could_not_begin_is_refused_and_never_made(connector: IBConnector) -> None:
    made: list[int] = []
    helper = meet_the_end_of_a_turn(connector, lambda: connector.call(lambda ib: made.append(1)), 0)
    outcome = helper.outcome()
    assert isinstance(outcome, RuntimeError)
    assert "start_in_thread()" in str(outcome)
    connector.sleep(0.01)
    assert made == []


def test_a_call_that_was_done_in_the_last_turn_gives_its_result(connector: IBConnector) -> None:
    assert meet_the_end_of_a_turn(connector, lambda: connector.call(lambda ib: "done"), 1).outcome() == "done"


@pytest.mark.parametrize(
    "use", [IBConnector.wait_ready, IBConnector.disconnect, IBConnector.connect, lambda connector: connector.run()]
)
def test_every_wait_is_refused(connector: IBConnector, use: Callable[[IBConnector], object]) -> None:
    assert isinstance(meet_the_end_of_a_turn(connector, lambda: use(connector), 0).outcome(), RuntimeError)
    assert connector.status.state is ConnectionState.READY


@pytest.mark.parametrize(
    "use",
    [
        IBConnector.wait_ready_async,
        IBConnector.disconnect_async,
        IBConnector.connect_async,
        lambda connector: connector.ensure_fresh_async(0),
    ],
)
def test_a_coroutine_in_a_loop_of_the_helper_is_refused(connector: IBConnector, use: Callable[..., Any]) -> None:
    helper = meet_the_end_of_a_turn(connector, lambda: asyncio.run(use(connector)), 0)
    assert isinstance(helper.outcome(), RuntimeError)
    assert connector.status.state is ConnectionState.READY


def test_what_does_not_wait_works_as_at_any_other_moment_of_rest(connector: IBConnector) -> None:
    assert meet_the_end_of_a_turn(connector, lambda: connector.stats.attempts, 0).outcome() == 1
    assert meet_the_end_of_a_turn(connector, lambda: connector.halt("mine"), 0).outcome() is None
    assert connector.status.halted == "mine"
    assert meet_the_end_of_a_turn(connector, connector.resume, 0).outcome() is None
    assert connector.status.may_trade


def test_a_call_that_is_half_done_is_given_up_when_the_loop_rests_for_long(
    connector: IBConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_thread, "_REST_SECONDS", 0.3)
    ended = threading.Event()

    async def linger(ib: Any) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    outcome = meet_the_end_of_a_turn(connector, lambda: connector.call(linger), 2).outcome()
    assert isinstance(outcome, ConnectionError)
    assert "has not run for 0.3 s" in str(outcome)
    connector.sleep(0.01)
    assert ended.is_set(), "it is cancelled when the loop runs again"


def test_a_call_that_is_half_done_goes_on_when_the_loop_runs_again(
    connector: IBConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_thread, "_REST_SECONDS", 1.0)
    free = asyncio.Event()
    helper = meet_the_end_of_a_turn(connector, lambda: connector.call(lambda ib: free.wait()), 2)
    for _ in range(6):  # 1.5 s, but the loop has short turns in between
        helper.thread.join(0.25)
        assert connector.status.may_trade
    assert helper.thread.is_alive()
    free.set()
    connector.sleep(0.01)
    assert helper.outcome() is True


def test_a_coroutine_that_comes_while_the_loop_rests_is_refused(make: Make, gateway: ThreadedGateway) -> None:
    connector = make(closed_every=60)
    connector.connect()
    gateway.fault("close_on_accept")
    gateway.fault("reset")
    while connector.status.state is not ConnectionState.RECONNECTING:
        connector.sleep(0.01)
    helper = Helper(lambda: asyncio.run(connector.wait_ready_async()))
    helper.thread.start()
    assert isinstance(helper.outcome(), RuntimeError)


def test_a_halt_while_the_loop_rests_is_carried_out_by_the_loop(
    connector: IBConnector, gateway: ThreadedGateway, apple: Any
) -> None:
    told: list[str] = []
    connector.on_status(lambda status: told.append(threading.current_thread().name))
    helper = Helper(lambda: connector.halt("mine", cancel_all=True))
    helper.thread.start()
    assert helper.outcome() is None
    assert told == []
    with pytest.raises(NotReady, match="mine"):
        connector.ib.placeOrder(apple, MarketOrder("BUY", 1))
    assert connector.status.halted == "mine"
    assert set(told) == {threading.current_thread().name}
    connector.sleep(0.01)
    gateway.wait_for(lambda gateway: len(gateway.seen.received("reqGlobalCancel")) == 1)
    assert connector.status.state is ConnectionState.READY
    assert gateway.seen.received("placeOrder") == []


def test_a_gateway_s_state_while_the_loop_rests_is_shown_when_it_runs(connector: IBConnector) -> None:
    gateway_status = GatewayStatus(GatewayState.RUNNING, datetime.now(UTC))
    helper = Helper(lambda: connector.tell_gateway(gateway_status))
    helper.thread.start()
    assert helper.outcome() is None
    assert connector.status.gateway == gateway_status
