"""A journal that is in use, damaged, locked or on a full disk: orders wait for it, cancels do not."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ibkr import ConnectionState, IBConnector, JournalError, JournalInUse, NotReady
from ibkr.core.journal_records import PROGRAM_ENDED
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, Make, StateOf
from tests.recovery.order_helpers import Reports, limit, resting, wait_until

Look = Callable[..., list[tuple[object, ...]]]
HOLDER = """
import sys, pathlib
from ibkr.journal.journal_lock import JournalLock
claim = JournalLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the journal open."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.communicate()


async def test_a_second_process_is_told_who_has_it(make: Make, path: Path, holder: subprocess.Popen[str]) -> None:
    connector = make()
    with pytest.raises(JournalInUse) as caught:
        await connector.connect_async()
    for words in (str(path), f"process {holder.pid}", socket.gethostname()):
        assert words in str(caught.value)
    assert connector.status.state is ConnectionState.DISCONNECTED
    holder.communicate()
    assert await connector.connect_async()


async def test_a_second_connector_is_refused(gateway: Gateway, make: Make) -> None:
    first, second = make(), make()
    await first.connect_async()
    with pytest.raises(JournalInUse, match=f"process {os.getpid()} on"):
        await second.connect_async(wait=True)
    await first.disconnect_async()
    assert await second.connect_async()


async def test_a_connection_that_was_given_up_lets_go_of_it(gateway: Gateway, make: Make) -> None:
    await gateway.fault("restart", 0.5)
    first = make(connect_attempts=1)
    with pytest.raises(ConnectionError):
        await first.connect_async()
    await gateway.wait_for(lambda gateway: gateway.is_listening)
    assert await make().connect_async()


async def test_it_belongs_to_one_client_id(make: Make, path: Path) -> None:
    first = make()
    await first.connect_async()
    await first.disconnect_async()
    with pytest.raises(JournalError, match=r"belongs to client id 7, and this program has client id 8"):
        await make(client_id=8).connect_async()
    assert await make().connect_async(), "and is free again"


async def test_it_belongs_to_one_login(make: Make, look: Look) -> None:
    first = make()
    await first.connect_async()
    await first.disconnect_async()
    look("UPDATE facts SET value = '[\"U7654321\"]' WHERE name = 'accounts'")
    known = look("SELECT * FROM positions"), look("SELECT * FROM facts")
    second = make()
    await second.connect_async()
    await asyncio.sleep(0.1)
    assert "the journal belongs to" in second.status.may_trade_reason
    await second.disconnect_async()
    assert (look("SELECT * FROM positions"), look("SELECT * FROM facts")) == known, (
        "nothing of another login is written"
    )


def damage(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 400)


def of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE history (at TEXT)")


def of_a_later_version(path: Path) -> None:
    from ibkr.journal.journal_schema import APPLICATION

    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute("PRAGMA user_version = 99")


def a_folder(path: Path) -> None:
    path.mkdir()


def in_no_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file")


UNUSABLE: dict[Callable[[Path], None], str] = {
    damage: "not a database",
    of_another_program: "another program",
    of_a_later_version: "newer version",
    a_folder: "unable to open|[Dd]irectory",
    in_no_folder: "exists|[Dd]irectory",
}


@pytest.mark.parametrize("spoil", UNUSABLE, ids=lambda spoil: spoil.__name__)
async def test_an_unusable_file_stops_new_orders_alone(
    gateway: Gateway, make: Make, path: Path, spoil: Callable[[Path], None]
) -> None:
    first = make(journal="")
    await first.connect_async()
    (trade,) = await resting(first, AAPL)
    await first.disconnect_async()
    spoil(path)
    connector = make()
    await connector.connect_async()
    status = await connector.wait_ready_async(5)
    assert not status.may_trade
    assert status.alert == status.journal_trouble == status.may_trade_reason
    assert str(path) in status.may_trade_reason
    with pytest.raises(NotReady, match=UNUSABLE[spoil]):
        connector.ib.placeOrder(AAPL, limit())
    connector.ib.cancelOrder(next(each.order for each in connector.ib.trades()))
    await gateway.wait_for(lambda gateway: not any(order.is_live for order in gateway.orders))
    connector.ib.reqGlobalCancel()
    await gateway.wait_for(lambda gateway: gateway.seen.received("reqGlobalCancel"))
    assert trade.order.orderId == gateway.orders[0].order_id


async def test_by_policy_orders_go_all_the_same(gateway: Gateway, make: Make, path: Path) -> None:
    damage(path)
    connector = make(require_journal=False)
    await connector.connect_async()
    await connector.wait_ready_async(5)
    await resting(connector, AAPL)
    assert "not a database" in connector.status.reason


async def test_a_journal_that_is_locked_from_the_start(gateway: Gateway, make: Make, path: Path) -> None:
    """Its content is used once it can be read."""
    first = make()
    await first.connect_async()
    await first.wait_ready_async(5)
    await gateway.fault("mute", "placeOrder")
    lost = first.ib.placeOrder(AAPL, limit())
    await gateway.wait_for(lambda gateway: gateway.seen.received("placeOrder"))
    await first.disconnect_async()
    await gateway.fault("clear")
    second = make()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        await second.connect_async()
        reason = (await second.wait_ready_async(5)).may_trade_reason
        assert "locked; disconnect, and connect again when that is over" in reason
        await second.disconnect_async()
    reports = Reports(second)
    await second.connect_async()
    status = await second.wait_ready_async(5)
    assert [order.order_id for order in status.unconfirmed] == [lost.order.orderId]
    assert (status.may_trade, (await reports.next()).cause) == (True, PROGRAM_ENDED)


async def test_rows_that_nobody_can_read(make: Make, look: Look) -> None:
    first = make()
    await first.connect_async()
    await first.wait_ready_async(5)
    await first.disconnect_async()
    deep = "[" * 100_000
    for spoil in (
        "UPDATE positions SET row = '{}'",
        *(f"INSERT INTO positions VALUES ('DU1234567', 1, '{row}')" for row in ("7", deep)),
        "UPDATE facts SET value = '7' WHERE name = 'until'",
    ):
        look(spoil)
        second = make()
        await second.connect_async()
        assert "cannot be written" in (await second.wait_ready_async(5)).may_trade_reason
        await second.disconnect_async()
        look("DELETE FROM positions")


def fill_disk(connector: IBConnector) -> Callable[[], None]:
    """Makes SQLite report a full disk. Returns a function that ends this fault."""
    journal = internals.journal(connector)
    databases = (journal._foreground, journal._background)
    for database in databases:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")

    def make_room() -> None:
        for database in databases:
            database.execute("PRAGMA max_page_count = 1000000")

    return make_room


def lock(connector: IBConnector) -> Callable[[], None]:
    """Locks the journal as a backup or a database browser does. Returns a function that ends the lock."""
    database = sqlite3.connect(internals.journal(connector).path, isolation_level=None, check_same_thread=False)
    database.execute("BEGIN IMMEDIATE")
    return database.close


@pytest.mark.parametrize(("spoil", "words"), [(lock, "locked"), (fill_disk, "full")], ids=["locked", "full"])
async def test_orders_wait_until_it_can_be_written_again(
    gateway: Gateway, trading: IBConnector, look: Look, spoil: Callable[[IBConnector], Callable[[], None]], words: str
) -> None:
    (resting_one,) = await resting(trading, AAPL)
    end = spoil(trading)
    for _ in range(200):  # write until the file has to grow
        try:
            order_id = trading.ib.placeOrder(AAPL, limit(orderRef="a long reference" * 20)).order.orderId
            trading.ib.cancelOrder(trading.ib.trades()[-1].order)
        except NotReady as error:
            assert words in str(error)  # noqa: PT017 - either of the two calls can raise
            break
        await gateway.wait_for(lambda gateway, order_id=order_id: gateway.orders[-1].order_id == order_id)
    assert not trading.status.may_trade
    assert words in trading.status.may_trade_reason
    trading.ib.cancelOrder(resting_one.order)
    await wait_until(trading, lambda: resting_one.orderStatus.status == "Cancelled")
    end()
    async with asyncio.timeout(5):
        async for status in trading.changes():
            if status.may_trade:
                break
    await resting(trading, AAPL)
    await trading.disconnect_async()
    perm_id = resting_one.order.permId
    assert look("SELECT state FROM orders WHERE perm_id = ?", perm_id) == [("ended",)], "what was heard meanwhile"
    assert ("cancel", resting_one.order.orderId) in look("SELECT kind, order_id FROM intents")


async def test_damage_while_it_is_in_use_is_reported(
    trading: IBConnector, state_of: StateOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the error has a limited length."""
    journal = internals.journal(trading)
    journal._fail(sqlite3.DatabaseError("database disk image is malformed"))
    with pytest.raises(NotReady, match="malformed"):
        trading.ib.placeOrder(AAPL, limit())
    assert "malformed" in trading.status.journal_trouble
    assert not trading.status.may_trade


async def test_a_lock_that_ends_at_once_is_noticed(trading: IBConnector, state_of: StateOf) -> None:
    """The journal's thread already waits for the order's commit when this commit fails."""
    end = lock(trading)
    with pytest.raises(NotReady, match="locked"):
        trading.ib.placeOrder(AAPL, limit())
    end()
    assert not trading.status.may_trade
    await state_of(trading, lambda status: status.may_trade)


async def test_a_link_to_the_journal_is_the_same_journal(make: Make, path: Path) -> None:
    link, folder = path.with_name("link.sqlite"), path.parent.with_name("linked")
    link.symlink_to(path)
    folder.symlink_to(path.parent)
    await make().connect_async()
    for other in (link, folder / path.name):
        with pytest.raises(JournalInUse, match=f"process {os.getpid()} on"):
            await make(journal=other).connect_async()
