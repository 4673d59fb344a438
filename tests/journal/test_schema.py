"""Migration of older journal files: complete, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from ibkr.core.journal_records import Intent, IntentKind, JournalUpdate, SessionLogin
from ibkr.core.order_records import Execution, Order, Position, SentOrder
from ibkr.journal.journal_schema import MIGRATIONS, NotAJournal, check_version, migrate
from ibkr.journal.journal_store import write
from ibkr.journal.rows import read_known

NOW = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
SENT = SentOrder(5, "DU1234567", 265598, "AAPL", "BUY", 100.0, "LMT", "mine", has_left=True)
ORDER = Order(9, 7, 4, "DU1234567", 1, "AAPL", "BUY", 1.0, "LMT", 1.0, None, "", "Submitted", 0.0, 0.0, True)
EXECUTION = Execution("e.01", 9, 7, 4, "DU1234567", 1, "AAPL", "BOT", 1.0, 1.0, NOW, "")
POSITION = Position("DU1234567", 1, "AAPL", 1.0, 1.0)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        yield database


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_what_an_earlier_version_has_written_is_read(database: sqlite3.Connection, version: int) -> None:
    migrate(database, MIGRATIONS[:version])
    write(database, SessionLogin(("DU1234567",)))
    write(database, Intent(1, NOW, IntentKind.ORDER, SENT, limit_price=1.0))
    news = JournalUpdate(NOW, (ORDER,), (EXECUTION,), (POSITION,), is_whole=True, knows_others=True)
    write(database, news)
    migrate(database)
    assert check_version(database) == len(MIGRATIONS)
    found = read_known(database, LONG_AGO)
    assert dict(found.picture.orders) == {9: ORDER}
    assert dict(found.picture.executions) == {"e.01": EXECUTION}
    assert list(found.picture.positions.values()) == [POSITION]
    assert [lost.terms for lost in found.lost.values()] == [(SENT,)]
    assert (found.accounts, found.knows_others, found.last_number) == (("DU1234567",), True, 1)
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {"intents", "orders", "executions", "positions", "facts", "gaps"}


def test_a_step_that_fails_leaves_the_file_as_it_was(database: sqlite3.Connection) -> None:
    migrate(database)
    before = list(database.iterdump())
    with pytest.raises(sqlite3.OperationalError):
        migrate(database, (*MIGRATIONS, ("CREATE TABLE more (at TEXT)", "CREATE TABLE gaps (at TEXT)")))
    assert (list(database.iterdump()), check_version(database)) == (before, len(MIGRATIONS))


def test_a_later_step_is_taken_alone(database: sqlite3.Connection) -> None:
    migrate(database)
    more = (*MIGRATIONS, ("CREATE TABLE more (at TEXT)",))
    migrate(database, more)
    migrate(database, more)
    assert check_version(database, more) == len(more)
    with pytest.raises(NotAJournal, match="newer version"):
        migrate(database)


def test_other_files_are_left_alone(database: sqlite3.Connection) -> None:
    database.execute("CREATE TABLE history (at TEXT)")
    before = list(database.iterdump())
    with pytest.raises(NotAJournal, match="another program"):
        migrate(database)
    assert list(database.iterdump()) == before
