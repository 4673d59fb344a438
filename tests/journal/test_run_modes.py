"""Programs with a journal in a plain script, with the connection in a thread, and with a fork."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from sqlite3 import connect

import pytest
from ib_async import LimitOrder

from ibkr import IBConnector, JournalInUse, Policy
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import AAPL

PROGRAMS = Path(__file__).parent / "programs"


def intents(path: Path) -> list[str]:
    with closing(connect(path)) as database:
        return [state for (state,) in database.execute("SELECT state FROM intents ORDER BY number")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_leaves_the_journal_to_its_parent(threaded_gateway: ThreadedGateway, path: Path) -> None:
    command = [sys.executable, str(PROGRAMS / "forking.py"), str(threaded_gateway.port), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "child 0\ntrouble \n", done.stderr
    assert len(threaded_gateway.orders) == len(intents(path)) == 2


def test_dropped_orders_of_an_interrupted_program_are_in_the_journal(
    threaded_gateway: ThreadedGateway, path: Path
) -> None:
    command = [sys.executable, str(PROGRAMS / "interrupted.py"), str(threaded_gateway.port), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert "ValueError: the program's own" in done.stderr
    states = intents(path)
    assert len(states) == 60
    assert states.count("not sent") == 60 - len(threaded_gateway.seen.received("placeOrder")) > 0


@pytest.mark.usefixtures("script_loop")
def test_a_plain_script(threaded_gateway: ThreadedGateway, path: Path) -> None:
    connector = IBConnector("127.0.0.1", threaded_gateway.port, 7, policy=Policy(region="none"), journal=path)
    connector.connect()
    trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0))
    assert len(intents(path)) == 1, "before the loop has another turn"
    while trade.orderStatus.status != "Submitted":
        connector.sleep(0.01)
    connector.halt("risk", cancel_all=True)
    threaded_gateway.wait_for(lambda gateway: not any(order.is_live for order in gateway.orders))
    connector.resume()
    connector.disconnect()
    assert intents(path) == ["acknowledged", "sent"]


def test_a_thread_of_its_own(threaded_gateway: ThreadedGateway, path: Path) -> None:
    def new() -> IBConnector:
        return IBConnector("127.0.0.1", threaded_gateway.port, 7, policy=Policy(region="none"), journal=path)

    connector = new().start_in_thread()
    connector.call(lambda ib: ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0)))
    with pytest.raises(JournalInUse):
        new().start_in_thread()
    with pytest.raises(JournalInUse):
        new().start_in_thread(background=True)
    connector.halt("risk")
    assert connector.status.halted == "risk"
    connector.stop()
    again = new().start_in_thread()
    assert again.status.halted == "risk"
    again.stop()
