"""``ibkr journal``, ``ibkr halt`` and ``ibkr resume``, with a program that runs and without one."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from ib_async import LimitOrder, Stock

from ibkr import IBConnector, Policy
from ibkr.journal.halt_file import HaltFile
from ibkr.journal.journal_schema import migrate
from ibkr.simulator import Gateway
from tests.stopwatch import slowness

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with Gateway(id_hold=0) as gateway:
        yield gateway


@pytest.fixture
async def trading(gateway: Gateway, path: Path) -> AsyncIterator[IBConnector]:
    """A program with a resting order and a fill."""
    connector = IBConnector("127.0.0.1", gateway.port, 7, policy=Policy(region="none"), journal=path)
    await connector.connect_async()
    await connector.wait_ready_async(5)
    for _ in range(2):
        connector.ib.placeOrder(AAPL, LimitOrder("BUY", 100, 1.0, account="DU1234567"))
    async with asyncio.timeout(5):
        while not all(trade.orderStatus.status == "Submitted" for trade in connector.ib.trades()):
            await connector.ib.updateEvent
        gateway.fill(connector.ib.trades()[0].order.orderId, price=1.0)
        while not connector.ib.fills():
            await connector.ib.updateEvent
    yield connector
    await connector.disconnect_async()


async def test_text_output_has_orders_fills_and_gaps(ibkr, gateway, trading, path):
    await trading.disconnect_async()
    again = IBConnector("127.0.0.1", gateway.port, 7, policy=Policy(region="none"), journal=path)
    await again.connect_async()
    await again.wait_ready_async(5)
    await again.disconnect_async()
    done = await asyncio.to_thread(ibkr, "journal", "--journal", path, COLUMNS="200")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "client 7, DU***67, not in use",
        "BUY 100 AAPL",
        "LMT 1",
        "Filled 100",
        "Submitted",
        "the program had",
    ):
        assert words in done.stdout
    assert "DU1234567" not in done.stdout


async def test_json_output_while_the_journal_is_in_use(ibkr, trading, path):
    await asyncio.sleep(0.1)
    done = await asyncio.to_thread(ibkr, "journal", "--json", IBKR_JOURNAL=str(path))
    told = json.loads(done.stdout)
    assert done.returncode == 0
    assert (told["client_id"], told["accounts"], told["halted"], told["unconfirmed"]) == (7, ["DU***67"], None, [])
    assert [(each["kind"], each["state"], each["status"]) for each in told["orders"]] == [
        ("order", "acknowledged", "Filled"),
        ("order", "acknowledged", "Submitted"),
    ]
    assert [(each["shares"], each["account"]) for each in told["executions"]] == [(100.0, "DU***67")]
    assert told["in_use_by"]["pid"]
    full = await asyncio.to_thread(ibkr, "journal", "--json", "-n", 1, IBKR_JOURNAL=str(path), IBKR_SHOW_ACCOUNTS="1")
    told = json.loads(full.stdout)
    assert (told["accounts"], len(told["orders"])) == (["DU1234567"], 1)


async def test_unconfirmed_orders_are_named(ibkr, gateway, trading, path):
    await gateway.fault("mute", "placeOrder")
    trading.ib.placeOrder(AAPL, LimitOrder("BUY", 7, 1.0))
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("placeOrder")) == 3)
    await trading.disconnect_async()
    done = await asyncio.to_thread(ibkr, "journal", "--journal", path)
    assert done.returncode == 1
    assert "BUY 7 AAPL LMT: it may be at the broker" in done.stdout


def test_a_missing_or_damaged_journal_is_reported(ibkr, path):
    done = ibkr("journal")
    assert done.returncode == 2
    assert "--journal FILE" in done.stderr
    done = ibkr("journal", "--journal", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"there is no journal {path}" in done.stderr
    path.write_text("no database " * 99)
    done = ibkr("journal", "--journal", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "not a database" in done.stderr


async def test_halt_stops_a_running_program_and_cancels_all_orders(ibkr, gateway, trading, path):
    words = ("halt", "--cancel-all", "--reason", "the risk limit", "--journal", path)
    done = await asyncio.to_thread(ibkr, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The global cancel is sent" in done.stdout
    assert not any(order.is_live for order in gateway.orders)
    assert trading.status.halted == "the risk limit"
    done = await asyncio.to_thread(ibkr, "resume", "--json", "--journal", path)
    assert json.loads(done.stdout) == {"halted": False, "was_halted": True}
    async with asyncio.timeout(2):
        async for status in trading.changes():
            if status.may_trade:
                break


@pytest.fixture
def unused(path: Path) -> Path:
    """A journal that no program uses."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        migrate(database)
    return path


@pytest.mark.usefixtures("unused")
def test_halt_without_a_running_program(ibkr, path, stopwatch):
    elapsed = stopwatch()
    done = ibkr("halt", "--json", "--cancel-all", IBKR_JOURNAL=str(path))
    assert elapsed() < 4 + slowness(), "there is nobody to wait for"
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"halted": True, "in_use": False, "cancel_pending": True}
    halt = HaltFile(path).read()
    assert halt is not None
    assert (halt.reason, halt.is_cancel_due) == ("requested with ibkr halt", True)
    done = ibkr("halt", "--reason", "still investigating", IBKR_JOURNAL=str(path))
    assert done.returncode == 0
    assert "An earlier halt has requested to cancel all orders. All orders are cancelled as soon as" in done.stdout
    halt = HaltFile(path).read()
    assert halt is not None
    assert (halt.reason, halt.is_cancel_due) == ("still investigating", True), "the cancel is not lost"
    told = json.loads(ibkr("halt", "--json", IBKR_JOURNAL=str(path)).stdout)
    assert told == {"halted": True, "in_use": False, "cancel_pending": True}
    assert ibkr("resume", IBKR_JOURNAL=str(path)).stdout == "Resumed.\n"
    assert ibkr("resume", IBKR_JOURNAL=str(path)).stdout == "There was no halt.\n"
    told = json.loads(ibkr("halt", "--json", IBKR_JOURNAL=str(path)).stdout)
    assert not told["cancel_pending"]


@pytest.mark.parametrize("text", [None, "no database " * 99, "[ibkr]\n"])
def test_what_is_no_journal_is_not_halted(ibkr_here, path, tmp_path, text):
    if text is not None:
        path.write_text(text)
    before = list(tmp_path.iterdir())
    for command in ("halt", "resume"):
        for journal in (path, tmp_path / "none" / "journal.sqlite", tmp_path):
            done = ibkr_here(command, "--journal", journal)
            assert (done.returncode, done.stdout) == (1, "")
            assert f"ibkr {command}: " in done.stderr
            assert f"journal {journal}" in done.stderr
    assert list(tmp_path.iterdir()) == before


async def test_a_running_program_is_halted_also_if_its_journal_is_damaged(ibkr, trading, path):
    path.write_text("no database")
    done = await asyncio.to_thread(ibkr, "halt", "--journal", path)
    assert (done.returncode, done.stderr) == (0, "")
    async with asyncio.timeout(5):
        async for status in trading.changes():
            if status.halted:
                break
    path.unlink()
    assert (await asyncio.to_thread(ibkr, "resume", "--journal", path)).stdout == "Resumed.\n"


@pytest.mark.parametrize("journal", ["~no-such-user/journal.sqlite", "", "/", "a\0b"])
def test_what_cannot_be_a_path_is_wrong_usage(ibkr_here, tmp_path, journal):
    (tmp_path / "ibkr.toml").write_text("[ibkr]\njournal = " + json.dumps(journal))
    for command in ("journal", "halt", "resume", "serve"):
        if command != "serve" and "\0" not in journal:
            done = ibkr_here(command, "--journal", journal)
            assert (done.returncode, "ibkr.journal" in done.stderr) == (2, True), done
        if journal:
            done = ibkr_here(command)
            assert (done.returncode, "ibkr.journal" in done.stderr) == (2, True), done


def test_a_halt_file_of_another_form_ends_with_resume(ibkr_here, unused):
    HaltFile(unused).path.write_text("[" * 100_000)
    assert "cannot be read" in ibkr_here("journal", "--journal", unused).stdout
    assert ibkr_here("resume", "--journal", unused).stdout == "Resumed.\n"


@pytest.mark.parametrize("holder", ["[" * 100_000, '{"pid": 1e999, "host": "", "since": ""}'])
async def test_a_holder_of_another_form_is_unknown(ibkr, trading, path, holder):
    path.with_name("journal.sqlite-holder.json").write_text(holder)
    done = await asyncio.to_thread(ibkr, "halt", "--journal", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "on an unknown host" in done.stdout


def test_what_cannot_be_halted_is_reported(ibkr, path, tmp_path):
    assert ibkr("halt").returncode == 2
    (tmp_path / "file").write_text("")
    done = ibkr("halt", "--journal", tmp_path / "file" / "journal.sqlite")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ibkr halt: " in done.stderr
    assert ibkr("halt", "--url", "file:///etc/passwd").returncode == 2
    done = ibkr("halt", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "nothing answers at" in done.stderr


def test_other_commands_do_not_use_the_journal(ibkr, simulated, path):
    done = ibkr("status", "--port", simulated.port, IBKR_JOURNAL=str(path))
    assert done.returncode == 0
    assert not path.exists()


async def test_a_read_only_gateway_leaves_the_cancel_to_be_sent(ibkr, gateway, trading, path):
    await gateway.fault("read_only")
    done = await asyncio.to_thread(ibkr, "halt", "--cancel-all", "--journal", path)
    assert done.returncode == 1
    assert "The global cancel is sent" not in done.stdout
    assert "read-only" in done.stdout
    assert any(order.is_live for order in gateway.orders)


async def test_halt_through_a_link_stops_the_program(ibkr, trading, path):
    link = path.with_name("link.sqlite")
    link.symlink_to(path)
    done = await asyncio.to_thread(ibkr, "halt", "--journal", link)
    assert "it sends no new orders" in done.stdout
    async with asyncio.timeout(2):
        async for status in trading.changes():
            if status.halted:
                break
