"""Writes the journal. Intents are committed before orders are sent; a thread commits everything else.

There are two connections. The event loop's connection commits intents, as safely as ``sync`` requires. The thread's
connection commits the rest. It also copies the write-ahead log into the file, and waits for the disk. One lock keeps
the commits in order, so the journal has everything in the order in which the program learned it.

This file has over 300 lines because what one of the two threads may touch depends on what the other thread does.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from ibkr.core.errors import JournalError
from ibkr.core.gap_report import BrokerSnapshot
from ibkr.core.journal_records import Intent, IntentOutcome, JournalUpdate, LastKnownState, SessionLogin
from ibkr.core.order_records import Order
from ibkr.journal.halt_file import HaltFile
from ibkr.journal.journal_lock import JournalLock
from ibkr.journal.journal_path import journal_path
from ibkr.journal.journal_schema import NotAJournal, migrate
from ibkr.journal.rows import UNREADABLE, read_known, read_notes, terms_to_json, to_json, utc_text

Entry: TypeAlias = Intent | IntentOutcome | SessionLogin | JournalUpdate

logger = logging.getLogger("ibkr.journal")

_LOCK_WAIT = 0.1
"""Seconds that a commit waits while another program locks the file."""
_COMMIT_WAIT = 0.5
"""Seconds that an order waits for the thread's commit."""
_GATHER_TIME = 0.02
"""Seconds during which the thread collects entries for one commit."""
_HALT_INTERVAL = 0.5
"""Seconds between checks of the halt file."""
_RETRY_INTERVAL = 1.0
"""Seconds from a failed commit to the next attempt."""
_HISTORY = timedelta(days=30)
"""A gateway may still report executions and completed orders of this time."""
_WAL_SIZE = 4 * 2**20
"""The write-ahead log is copied into the file when it has this many bytes."""
_CHECKED_SIZE = 64 * 2**20
"""The file is checked for damage when it is opened, unless it has more bytes than this."""
_MOST_QUEUED = 100_000
_parent_connections: list[object] = []
"""In a forked process: the parent's connections. To close or garbage-collect them could damage the parent's journal."""


class Journal:
    """One journal file. One connector uses it at a time, from ``open`` to ``close``, in the thread of its event loop.

    Attributes:
        client_id: The client id that the journal belongs to.
        heard_at: When the program last received something while nothing was missing, in seconds since the epoch. May be
            set at any time.
        trouble: Why nothing can be written. Empty if the journal works.
    """

    def __init__(self, path: str, client_id: int, sync: str) -> None:
        self.path = journal_path(path)
        self.halt_file = HaltFile(self.path)
        self.client_id, self._sync = client_id, sync
        self._file_lock: JournalLock | None = None
        self._foreground: sqlite3.Connection | None = None
        self._background: sqlite3.Connection | None = None
        self._queue: deque[Entry] = deque()
        self._lock = threading.Lock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._is_broken = False
        self._has_failed = False
        self._written_until = 0.0
        self.heard_at = 0.0
        self.trouble = ""
        self._troubles = 0
        """How often ``trouble`` has changed. A trouble may begin and end between two checks of the thread."""

    def open(self, on_change: Callable[[], None]) -> LastKnownState:
        """Lock and read the file. Returns what the last program knew.

        Args:
            on_change: Called in the journal's thread when ``trouble`` or the halt file may have changed.

        Raises:
            JournalError: The file belongs to another program. Any other failure becomes ``trouble``, and the result is
                empty.
        """
        self.trouble, self._is_broken, self.heard_at, self._written_until = "", False, 0.0, 0.0
        self._queue.clear()
        values = LastKnownState(BrokerSnapshot({}, {}, {}))
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file_lock = JournalLock(self.path)
            values = self._read()
        except (OSError, sqlite3.Error, NotAJournal, *UNREADABLE) as error:
            self._fail(error)
        except BaseException:
            self._release()
            raise
        self._stop.clear()
        self._thread = threading.Thread(target=self._run_thread, args=(on_change,), name="ibkr-journal", daemon=True)
        self._thread.start()
        return values

    def commit_now(self, entry: Intent | IntentOutcome) -> None:
        """Commit an intent, or the fact that a waiting order is sent now. All noted entries are committed before it.

        Raises ``JournalError`` if the commit fails. Then nothing may be sent.
        """
        if not self._lock.acquire(timeout=_COMMIT_WAIT):
            raise JournalError(self._trouble_text("the disk does not answer"))
        try:
            if self._foreground is None or self._is_broken:
                raise JournalError(self.trouble or self._trouble_text("it is closed"))
            if self._queue or self.trouble:
                self._commit(self._foreground, entry)
            else:
                write(self._foreground, entry)  # one statement is its own transaction
        except sqlite3.Error as error:
            self._commit_failed(error)
            raise JournalError(self.trouble) from error
        finally:
            self._lock.release()

    def note(self, entry: Entry) -> None:
        """Commit this entry soon. Never raises and never waits."""
        if not self._is_broken:
            self._queue.append(entry)
            if not self._wake.is_set():
                self._wake.set()

    def close(self) -> None:
        """Commit the remaining entries, and release the file."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._release()

    def after_fork(self) -> None:
        """In a forked process: forget the file, which belongs to the parent."""
        _parent_connections.extend((self._file_lock, self._foreground, self._background, self._thread, self._lock))
        self._file_lock = self._foreground = self._background = self._thread = None
        self._lock, self._wake, self._stop = threading.Lock(), threading.Event(), threading.Event()
        self._is_broken, self.trouble = (
            True,
            self._trouble_text("it belongs to the process that this one was forked from"),
        )

    @property
    def is_open(self) -> bool:
        """Whether the journal is open."""
        return self._thread is not None

    def _read(self) -> LastKnownState:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        database = self._connect("FULL")
        self._background = database
        database.execute("PRAGMA journal_mode = WAL")
        migrate(database)
        if self.path.stat().st_size <= _CHECKED_SIZE:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        owner = read_notes(database).get("client_id", self.client_id)
        if owner != self.client_id:
            raise JournalError(
                f"the journal {self.path} belongs to client id {owner}, and this program has client id"
                f" {self.client_id}: give it a journal of its own, or that client id"
            )
        _note(database, "client_id", self.client_id)
        values = read_known(database, datetime.now(UTC) - _HISTORY)
        database.execute("PRAGMA synchronous = NORMAL")
        self._foreground = self._connect("FULL" if self._sync == "full" else "NORMAL")
        return values

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=_LOCK_WAIT, isolation_level=None, check_same_thread=False)
        try:
            database.execute(f"PRAGMA synchronous = {synchronous}")
            database.execute("PRAGMA wal_autocheckpoint = 0")
        except sqlite3.Error:  # it is not a database
            database.close()
            raise
        return database

    def _release(self) -> None:
        for database in (self._foreground, self._background):
            if database is not None:
                database.close()
        self._foreground = self._background = None
        if self._file_lock is not None:
            self._file_lock.release()
            self._file_lock = None

    def _commit(self, database: sqlite3.Connection, *more: Entry) -> None:
        """Commit the noted entries, and then ``more``, in one transaction. The caller holds the lock.

        Raises ``sqlite3.Error``.
        """
        entries = [self._queue.popleft() for _ in range(len(self._queue))]
        until = self.heard_at
        try:
            database.execute("BEGIN IMMEDIATE")
            for entry in (*entries, *more):
                write(database, entry)
            if until > self._written_until:
                _note(database, "until", utc_text(datetime.fromtimestamp(until, UTC)))
            if self.trouble:  # only a commit that writes something shows that writing works
                _note(database, "tried", utc_text(datetime.now(UTC)))
            database.execute("COMMIT")
        except BaseException:
            self._queue.extendleft(reversed(entries))
            with suppress(sqlite3.Error):
                if database.in_transaction:
                    database.execute("ROLLBACK")
            raise
        self._written_until, self._has_failed = until, False
        if self.trouble:
            logger.info("The journal %s can be written again", self.path)
            self.trouble = ""
            self._troubles += 1

    def _commit_failed(self, error: sqlite3.Error) -> None:
        """Handle a failed commit. It is tried again, unless the file is damaged."""
        if not isinstance(error, sqlite3.OperationalError) or len(self._queue) > _MOST_QUEUED:
            self._fail(error)
        else:
            self._set_trouble(str(error))

    def _fail(self, error: Exception) -> None:
        """Stop writing until the journal is opened again."""
        self._is_broken = True
        self._queue.clear()
        words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        passes = isinstance(error, sqlite3.OperationalError)
        cure = "disconnect, and connect again when that is over"
        self._set_trouble(
            f"{words}; {cure if passes else 'disconnect, move the file away or restore it, and connect again'}"
        )

    def _set_trouble(self, words: str) -> None:
        trouble = self._trouble_text(words)
        if trouble != self.trouble:
            logger.critical("%s%s", trouble[0].upper(), trouble[1:])
            self.trouble = trouble
            self._troubles += 1

    def _trouble_text(self, words: str) -> str:
        return f"the journal {self.path} cannot be written: {words}"

    # The methods below run in the journal's thread.

    def _run_thread(self, on_change: Callable[[], None]) -> None:
        halt_file = HaltFile(self.path)
        values = self._troubles, halt_file.read()
        while not self._stop.is_set():
            self._wake.wait(_HALT_INTERVAL)
            self._wake.clear()
            self._stop.wait(_GATHER_TIME if not self.trouble else _RETRY_INTERVAL)
            self._commit_queue()
            now = self._troubles, halt_file.read()
            if now != values:
                values = now
                on_change()
        self._commit_queue()

    def _commit_queue(self) -> None:
        if self._background is None or self._is_broken:
            return
        is_due = self._queue or self.trouble or self._stop.is_set()
        if not is_due and self.heard_at - self._written_until < _HEARTBEAT:
            return
        with self._lock:
            try:
                self._commit(self._background)
            except sqlite3.Error as error:
                if self._has_failed or not isinstance(
                    error, sqlite3.OperationalError
                ):  # an order would report this immediately
                    self._commit_failed(error)
                self._has_failed = True
                return
            except Exception:
                logger.critical("Internal error in the journal. Please report this.", exc_info=True)
                self._fail(RuntimeError("an internal error; see the log"))
                return
        self._checkpoint()

    def _checkpoint(self) -> None:
        """Copy a long write-ahead log into the file, while orders continue."""
        assert self._background is not None
        try:
            if self.path.with_name(f"{self.path.name}-wal").stat().st_size >= _WAL_SIZE:
                self._background.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except (OSError, sqlite3.Error) as error:
            logger.warning("The write-ahead log of the journal %s could not be copied: %s", self.path, error)


_HEARTBEAT = 5.0
"""Seconds between notes of when the program last received something, while nothing else is written."""


def write(database: sqlite3.Connection, entry: Entry) -> None:
    """Write one entry in the current transaction."""
    match entry:
        case Intent():
            database.execute(
                "INSERT OR REPLACE INTO intents (number, at, kind, order_id, state, perm_id, knew_ended, terms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    entry.number,
                    utc_text(entry.at),
                    entry.kind.value,
                    entry.order.order_id,
                    entry.state.value,
                    entry.perm_id,
                    int(entry.knew_ended),
                    terms_to_json(entry),
                ),
            )
        case IntentOutcome(number, state, perm_id):
            database.execute(
                "UPDATE intents SET state = ?, perm_id = max(perm_id, ?) WHERE number = ?",
                (state.value, perm_id, number),
            )
        case SessionLogin(accounts):
            _note(database, "accounts", accounts)
        case JournalUpdate():
            _write_news(database, entry)


def _write_news(database: sqlite3.Connection, news: JournalUpdate) -> None:
    at = utc_text(news.until)
    database.executemany(
        "INSERT INTO orders (perm_id, state, client_id, order_id, at, row) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (perm_id) DO UPDATE SET state = excluded.state, at = excluded.at, row = excluded.row,"
        " client_id = CASE WHEN excluded.order_id THEN excluded.client_id ELSE client_id END,"
        " order_id = CASE WHEN excluded.order_id THEN excluded.order_id ELSE order_id END",  # 0 if completed
        [_order_row(order, at) for order in news.orders],
    )
    database.executemany(
        "INSERT OR IGNORE INTO executions (exec_id, client_id, order_id, at, row) VALUES (?, ?, ?, ?, ?)",
        [(each.exec_id, each.client_id, each.order_id, utc_text(each.time), to_json(each)) for each in news.executions],
    )
    if news.positions is not None:
        database.execute("DELETE FROM positions")
        rows = [(each.account, each.con_id, to_json(each)) for each in news.positions]
        database.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", rows)
    if news.is_whole:
        _write_complete(database, news, at)
    if news.report is not None:
        report = json.dumps(news.report.to_dict(show_accounts=True))
        database.execute("INSERT INTO gaps (at, report) VALUES (?, ?)", (utc_text(news.report.end), report))


def _order_row(order: Order, at: str) -> tuple[object, ...]:
    state = "live" if order.is_live else "ended"
    return order.perm_id, state, order.client_id, order.order_id, at, to_json(order)


def _write_complete(database: sqlite3.Connection, news: JournalUpdate, at: str) -> None:
    """Mark orders as vanished if they were live, and are neither live nor completed now."""
    live = {order.perm_id for order in news.orders if order.is_live}
    was_live = {perm_id for (perm_id,) in database.execute("SELECT perm_id FROM orders WHERE state = 'live'")}
    gone = [(perm_id,) for perm_id in was_live - live - news.ended]
    database.executemany("UPDATE orders SET state = 'vanished' WHERE perm_id = ?", gone)
    database.executemany(
        "INSERT INTO orders (perm_id, state, client_id, order_id, at) VALUES (?, 'ended', -1, 0, ?)"
        " ON CONFLICT (perm_id) DO UPDATE SET state = 'ended', at = excluded.at WHERE state <> 'ended'",
        [(perm_id, at) for perm_id in news.ended],
    )
    _note(database, "knows_others", news.knows_others)


def _note(database: sqlite3.Connection, name: str, value: object) -> None:
    database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))
