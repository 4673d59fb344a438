"""Eight threads use one connector during faults: no deadlock, only documented errors, nothing left behind."""

from __future__ import annotations

import asyncio
import faulthandler
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from ibkr import ConnectError, ConnectionState, IBConnector, NotReady
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make

DOCUMENTED = (ConnectError, NotReady, ConnectionError, TimeoutError)
FAULTS: tuple[tuple[Any, ...], ...]
FAULTS = (("reset",), ("close",), ("restart", 0.05), ("lose_upstream",), ("restore_upstream",), ("end_stream", "AAPL"))
FAULTS += (("close_on_accept",), ("clear",), ("clear",))
WEIGHTS = [6, 6, 2, 4, 2, 10, 2, 4, 1, 1, 1, 4]
"""How often each action comes, in the order of `actions_of`."""
STUCK = 20.0
"""A call that takes more seconds fails the test, which then shows the stack of every thread."""


@pytest.fixture
def hang_guard() -> Iterator[None]:
    """Ends the process if even the test's own thread hangs."""
    yield
    faulthandler.cancel_dump_traceback_later()


def stacks() -> str:
    """Where every thread is now."""
    return "\n".join(
        f"--- {ident}\n" + "".join(traceback.format_stack(frame)) for ident, frame in sys._current_frames().items()
    )


def actions_of(connector: IBConnector, apple: Any) -> dict[str, Callable[[], Any]]:
    """Everything that a thread may do with a connector, by name."""

    async def qualify(ib: Any) -> Any:
        return await ib.reqContractDetailsAsync(apple)

    return {
        "call": lambda: connector.call(lambda ib: ib.positions()),
        "call a coroutine": lambda: connector.call(qualify, 0.2),
        "call too long": lambda: connector.call(lambda ib: asyncio.sleep(60), 0.01),
        "subscribe": lambda: connector.call(lambda ib: ib.reqMktData(apple)),
        "unsubscribe": lambda: connector.call(lambda ib: ib.cancelMktData(apple)),
        "status": lambda: (connector.status.to_dict(), connector.stats.to_dict(), repr(connector)),
        "listen": lambda: connector.on_status(lambda status: None)(),
        "wait": lambda: connector.wait_ready(0.05),
        "reconnect": connector.reconnect,
        "retry": connector.retry_now,
        "disconnect": connector.disconnect,
        "connect": connector.connect,
    }


def comes_back(connector: IBConnector, gateway: ThreadedGateway, apple: Any) -> None:
    """Check that the connector works again once all faults are over."""
    connector.connect(wait=True)
    assert connector.wait_ready(5).may_trade
    connector.call(lambda ib: ib.reqMktData(apple))
    gateway.wait_for(lambda gateway: list(gateway.seen.live_subscriptions(7).values()) == ["AAPL"])


@pytest.mark.usefixtures("hang_guard")
@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=[pytest.mark.slow, pytest.mark.rest])])
def test_eight_threads(
    make: Make, gateway: ThreadedGateway, apple: Any, caplog: pytest.LogCaptureFixture, seconds: int
) -> None:
    connector = make(closed_every=0.02, flap_limit=1_000_000).start_in_thread()
    end = time.monotonic() + seconds
    done: set[str] = set()
    undocumented: list[BaseException] = []
    actions = actions_of(connector, apple)

    def work(seed: int) -> None:
        chance = random.Random(seed)
        due = chance.sample(list(actions), len(actions))  # each action once, then random ones
        while (due or time.monotonic() < end) and not undocumented:
            name = due.pop() if due else chance.choices(list(actions), WEIGHTS)[0]
            done.add(name)
            try:
                with suppress(*DOCUMENTED):
                    actions[name]()
            except BaseException as error:
                undocumented.append(error)

    threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(8)]
    faulthandler.dump_traceback_later(seconds + 2 * STUCK, exit=True)
    for thread in threads:
        thread.start()
    chance = random.Random(0)
    while time.monotonic() < end:
        time.sleep(0.05)
        gateway.fault(*chance.choice(FAULTS))
    gateway.fault("clear")  # connect() waits while a fault lasts
    gateway.fault("restore_upstream")
    for thread in threads:
        thread.join(max(0.0, end + STUCK - time.monotonic()))
    assert not any(thread.is_alive() for thread in threads), stacks()
    assert undocumented == []
    assert done == set(actions)
    comes_back(connector, gateway, apple)
    connector.stop()
    assert connector.status.state is ConnectionState.DISCONNECTED
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio" or record.exc_info] == []
