"""``History``: a sink that stores state changes, outages and gap reports in SQLite.

The file has a bounded size. It stays consistent if the program is killed while it writes.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from typing import Any

from ibkr.core.account_masking import mask_accounts
from ibkr.core.gap_report import GapReport
from ibkr.core.outage import Outage, Outcome
from ibkr.core.serialization import to_json
from ibkr.core.status import Status
from ibkr.observe.history_file import damaged, lock_history, open_history
from ibkr.observe.history_rows import CHANGE_COLUMNS, NOT_WATCHED, OUTAGE_COLUMNS, RowReader, StateChange
from ibkr.observe.outage_tracker import OutageTracker

_MAX_ID = 2**63 - 1
_MAX_GAP_ENTRIES = 100
_ALIVE_INTERVAL = 10.0
# How many rows of outages to remember, to find the outage of a gap report. The report comes one loop turn after the end
# of its outage. By then a second outage may have begun, but not a third.
_RECENT_ROWS = 16
_CLOCK_JUMP = 2.0
"""If the wall clock moves this many seconds more or less than the monotonic clock, somebody has set it."""
# Read only numbers: in SQLite, a text or a blob is greater than every number, so max() would return it.
_LAST_ALIVE = """SELECT max(at) FROM (SELECT at FROM alive UNION ALL SELECT at FROM changes)
    WHERE typeof(at) IN ('real', 'integer') AND at BETWEEN 0 AND 1e11"""


class History:
    """Stores state changes and outages, and returns them. Every method may be called from any thread.

    A file belongs to one connector. Until ``close()`` only this object may write it; others may read it with SQLite.
    Every ten seconds the history records that the program runs. So after a crash, the time in which nobody watched is
    known with an error of at most ten seconds. If somebody sets the wall clock, or the computer sleeps, the skipped
    time is stored as not watched, because the monotonic clock decides how long a state lasted.

    Args:
        path: The database file. ``None`` keeps everything in memory until ``close()``.
        keep_changes: How many state changes to keep.
        keep_outages: How many outages to keep.
        show_accounts: Do not mask account ids.
        clock: The wall clock, in Unix time.
        monotonic: A monotonic clock, in seconds.

    Raises:
        ConfigError: The file cannot be used, or another program writes it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        keep_changes: int = 20_000,
        keep_outages: int = 2_000,
        show_accounts: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keep_changes = keep_changes
        self._keep_outages = keep_outages
        self._show_accounts = show_accounts
        self._clock, self._monotonic = clock, monotonic
        self._wall_ahead = clock() - monotonic()
        self._lock = threading.Lock()
        self._tracker = OutageTracker()
        self._state = ""
        self._alive_at = 0.0
        self._row_ids: dict[int, int] = {}
        self._row_reader = RowReader()
        self._pending_outage: Outage | None = None
        with ExitStack() as files:  # the files are closed again if anything here raises
            self._db = files.enter_context(closing(open_history(path)))
            files.enter_context(closing(lock_history(path)))
            try:
                with self._transaction() as db:
                    self._close_last_run(db)
            except sqlite3.Error as error:
                raise damaged(path, error) from error
            self._files = files.pop_all()

    def handle(self, status: Status) -> None:
        """Store what this status changes."""
        now = self._clock()
        self._pending_outage = self._tracker.update(status) or self._pending_outage
        is_change = status.state != self._state
        is_alive_due = not 0 <= now - self._alive_at < _ALIVE_INTERVAL
        if not (is_change or is_alive_due or self._pending_outage):
            return
        row_ids = dict(self._row_ids)
        with self._transaction() as db:
            self._record_clock_jump(db)
            if is_change:
                self._store_change(db, status.since.timestamp(), status.state, self._masked(status.reason, status))
            if self._pending_outage:
                row_ids[self._pending_outage.number] = self._store_outage(db, self._pending_outage, status)
            _record_alive(db, now)
        # Set these only after the commit: if the commit fails, the next status tries again.
        self._state, self._pending_outage, self._alive_at = status.state, None, now
        self._row_ids = dict(list(row_ids.items())[-_RECENT_ROWS:])

    def add_gap_report(self, report: GapReport) -> None:
        """Store a gap report with its outage, even if the next outage has begun. Ignore a report without an outage."""
        text = to_json(_bounded_gap(report.to_dict(show_accounts=self._show_accounts)))
        with self._transaction() as db:
            db.execute("UPDATE outages SET gap = ? WHERE id = ?", (text, self._row_ids.get(report.outage)))

    def close(self) -> None:
        """Record that nobody watches from now on, and close the file."""
        try:
            with self._transaction() as db:
                _record_alive(db, self._clock())
                self._close_last_run(db)
        finally:
            with self._lock:
                self._files.close()

    def outages(self, limit: int = 100) -> list[dict[str, Any]]:
        """Return the latest outages, newest first: ``Outage.to_dict()`` with ``id`` and ``gap``, the gap report."""
        return list(self.read_outages(limit))

    def read_outages(self, limit: int, before: int = _MAX_ID, *, as_text: bool = False) -> Iterator[dict[str, Any]]:
        """Iterate over the latest outages, newest first; each row is read when it is needed.

        Args:
            limit: The largest number of outages.
            before: Only outages with an ``id`` below this.
            as_text: Give the gap report as a JSON text.
        """
        query = f"SELECT {OUTAGE_COLUMNS} FROM outages WHERE id < ? ORDER BY id DESC LIMIT 1"
        for _ in range(limit):
            with self._lock:
                row = self._db.execute(query, (before,)).fetchone()
            if row is None:
                return
            before = row["id"]
            yield self._row_reader.outage(row, as_text=as_text)

    def changes(self, since: datetime | None = None) -> list[StateChange]:
        """Return the state changes from ``since`` on, oldest first. The first change is the state at that moment."""
        query = f"""SELECT {CHANGE_COLUMNS} FROM changes WHERE id >= coalesce(
            (SELECT max(id) FROM changes WHERE at <= ?), 0) ORDER BY id"""
        if self._clock_jump:  # no status may have come since somebody set the clock
            with self._transaction() as db:
                self._record_clock_jump(db)
        with self._lock:
            rows = self._db.execute(query, (0.0 if since is None else since.timestamp(),)).fetchall()
        return [change for row in rows if (change := self._row_reader.change(row)) is not None]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write in one transaction: either everything is stored or nothing."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db

    def _store_change(self, db: sqlite3.Connection, at: float, state: str, reason: str) -> None:
        row = db.execute("INSERT INTO changes (at, state, reason) VALUES (?, ?, ?)", (at, state, reason)).lastrowid
        db.execute("DELETE FROM changes WHERE id <= ?", ((row or 0) - self._keep_changes,))

    @property
    def _clock_jump(self) -> float:
        """How many seconds the wall clock was set forward since the last call.

        Negative if the clock was set back, 0 if nobody set it.
        """
        ahead = self._clock() - self._monotonic() - self._wall_ahead
        return ahead if abs(ahead) > _CLOCK_JUMP else 0.0

    def _record_clock_jump(self, db: sqlite3.Connection) -> None:
        """If the clock was set, end the current state at that moment, and begin it again now."""
        jump = self._clock_jump
        if jump and self._state:
            now = self._clock()
            self._store_change(db, now - jump, NOT_WATCHED, "the clock was set, or the machine slept")
            self._store_change(db, now, self._state, "as before")
        self._wall_ahead = self._clock() - self._monotonic()

    def _store_outage(self, db: sqlite3.Connection, outage: Outage, status: Status) -> int:
        """Insert or update an outage. Returns the id of its row."""
        row = self._row_ids.get(outage.number, 0)
        if not row:
            self._close_open_outages(db, outage.began_at.timestamp())  # an outage whose end never reached this sink
            row = (
                db.execute(
                    "INSERT INTO outages (began_at, cause, reason, last_error) VALUES (?, ?, ?, '')",
                    (outage.began_at.timestamp(), outage.cause, self._masked(outage.reason, status)),
                ).lastrowid
                or 0
            )
            db.execute("DELETE FROM outages WHERE id <= ?", (row - self._keep_outages,))
        ended_at = None if outage.ended_at is None else outage.ended_at.timestamp()
        db.execute(
            "UPDATE outages SET ended_at = ?, outcome = ?, last_error = ? WHERE id = ?",
            (ended_at, outage.outcome, self._masked(outage.last_error, status), row),
        )
        return row

    def _close_last_run(self, db: sqlite3.Connection) -> None:
        """End the state and the outages that an earlier run left open, at the time when that run was last alive."""
        row = db.execute(_LAST_ALIVE).fetchone()
        last = db.execute("SELECT state FROM changes ORDER BY id DESC LIMIT 1").fetchone()
        if not isinstance(row[0], (int, float)) or last is None or last["state"] == NOT_WATCHED:
            return
        self._store_change(db, row[0], NOT_WATCHED, "the program did not run")
        self._close_open_outages(db, row[0])

    def _close_open_outages(self, db: sqlite3.Connection, at: float) -> None:
        """End every open outage at this time. Nobody will report their end."""
        db.execute("UPDATE outages SET ended_at = ?, outcome = ? WHERE ended_at IS NULL", (at, Outcome.UNKNOWN))

    def _masked(self, text: str, status: Status) -> str:
        return text if self._show_accounts else mask_accounts(text, status.accounts)


def _bounded_gap(gap: dict[str, Any]) -> dict[str, Any]:
    """Shorten the lists of a gap report; ``cut_from`` has their full lengths."""
    cut = {key: value[:_MAX_GAP_ENTRIES] if isinstance(value, list) else value for key, value in gap.items()}
    counts = {
        key: len(value) for key, value in gap.items() if isinstance(value, list) and len(value) > _MAX_GAP_ENTRIES
    }
    return {**cut, "cut_from": counts} if counts else cut


def _record_alive(db: sqlite3.Connection, now: float) -> None:
    db.execute("INSERT OR REPLACE INTO alive (one, at) VALUES (1, ?)", (now,))
