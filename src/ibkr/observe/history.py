"""State changes and outages in SQLite: bounded, and whole after the program was killed in the middle of writing."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ibkr.core.accounts import mask_accounts
from ibkr.core.errors import ConfigError
from ibkr.core.gap import GapReport
from ibkr.core.outage import Outage, OutageCause, Outcome
from ibkr.core.status import Status
from ibkr.observe.outages import OutageWatch

NOT_WATCHED = "NOT_WATCHED"
"""In the place of a state: the program did not run, nobody knows."""

_VERSION = 1
_MOST_ENTRIES = 100
_BEAT_EVERY = 10.0
# A report comes a turn of the loop behind the end of its outage: the next one may have begun, and no more than that.
_KEPT_ROWS = 16
_CLOCK_JUMP = 2.0
"""Seconds by which the wall clock may leave the monotonic one between two looks, without having been set."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS changes (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS changes_at ON changes (at);
CREATE TABLE IF NOT EXISTS outages (
    id INTEGER PRIMARY KEY, began_at REAL NOT NULL, ended_at REAL, outcome TEXT,
    cause TEXT NOT NULL, reason TEXT NOT NULL, last_error TEXT NOT NULL, gap TEXT
);
CREATE TABLE IF NOT EXISTS alive (one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Change:
    """From ``at`` on the state was this one; ``state`` is a ``ConnectionState`` or ``NOT_WATCHED``."""

    at: datetime
    state: str
    reason: str


class History:
    """A sink that remembers. ``path``: the database; None keeps it in memory, and it goes with the program.

    Keeps the last ``keep_changes`` and ``keep_outages``. A file belongs to one connector, and until ``close()`` to who
    made this; others may read it with SQLite meanwhile. It notes every ten seconds that it lives, so that
    after a crash the time that nobody watched is known to that precision. When the wall clock is set, or the machine
    sleeps, that time counts as not watched: how long a state lasted is the monotonic clock's to say. Every method may
    be called from any thread.
    Raises ``ConfigError`` for a file that cannot be used, or that another program writes.
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
        self._watch = OutageWatch()
        self._state = ""
        self._beat_at = 0.0
        self._rows: dict[int, int] = {}
        self._news: Outage | None = None
        with ExitStack() as files:  # not left open, whatever is raised
            self._db = files.enter_context(closing(_open(path)))
            files.enter_context(closing(_claim(path)))
            with self._writing() as db:
                self._end_last_run(db)
            self._files = files.pop_all()

    def tell(self, status: Status) -> None:
        """Write down what this status changes."""
        now = self._clock()
        self._news = self._watch.tell(status) or self._news
        is_change = status.state != self._state
        is_beat = not 0 <= now - self._beat_at < _BEAT_EVERY
        if not (is_change or is_beat or self._news):
            return
        rows = dict(self._rows)
        with self._writing() as db:
            self._note_clock(db)
            if is_change:
                self._change(db, status.since.timestamp(), status.state, self._masked(status.reason, status))
            if self._news:
                rows[self._news.number] = self._note_outage(db, self._news, status)
            _beat(db, now)
        # Only now: what could not be written is tried again with the next status.
        self._state, self._news, self._beat_at = status.state, None, now
        self._rows = dict(list(rows.items())[-_KEPT_ROWS:])

    def tell_gap(self, report: GapReport) -> None:
        """Keep a gap report with the outage that it is of; the next one may have begun."""
        text = json.dumps(_bounded(report.to_dict(show_accounts=self._show_accounts)))
        with self._writing() as db:
            db.execute("UPDATE outages SET gap = ? WHERE id = ?", (text, self._rows.get(report.outage)))

    def close(self) -> None:
        """Note that nobody watches from now on, and close the file."""
        try:
            with self._writing() as db:
                _beat(db, self._clock())
                self._end_last_run(db)
        finally:
            with self._lock:
                self._files.close()

    def outages(self, limit: int = 100) -> list[dict[str, Any]]:
        """The latest outages, the newest first, as ``Outage.to_dict()`` with ``id`` and ``gap``, the gap report."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM outages ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [_outage_dict(row) for row in rows]

    def changes(self, since: datetime | None = None) -> list[Change]:
        """The state changes since then, the oldest first; before them the one that held at that moment."""
        query = """SELECT at, state, reason FROM changes WHERE id >= coalesce(
            (SELECT max(id) FROM changes WHERE at <= ?), 0) ORDER BY id"""
        if self._clock_jump:  # nothing may have been told since
            with self._writing() as db:
                self._note_clock(db)
        with self._lock:
            rows = self._db.execute(query, (0.0 if since is None else since.timestamp(),)).fetchall()
        return [Change(_moment(row["at"]), row["state"], row["reason"]) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is in the file, or nothing."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db

    def _change(self, db: sqlite3.Connection, at: float, state: str, reason: str) -> None:
        row = db.execute("INSERT INTO changes (at, state, reason) VALUES (?, ?, ?)", (at, state, reason)).lastrowid
        db.execute("DELETE FROM changes WHERE id <= ?", ((row or 0) - self._keep_changes,))

    @property
    def _clock_jump(self) -> float:
        """Seconds that the wall clock was set ahead since the last look, or back; 0 if it was not."""
        ahead = self._clock() - self._monotonic() - self._wall_ahead
        return ahead if abs(ahead) > _CLOCK_JUMP else 0.0

    def _note_clock(self, db: sqlite3.Connection) -> None:
        """What lasts until now has lasted until the clock was set; from now on, it lasts again."""
        jump = self._clock_jump
        if jump and self._state:
            now = self._clock()
            self._change(db, now - jump, NOT_WATCHED, "the clock was set, or the machine slept")
            self._change(db, now, self._state, "as before")
        self._wall_ahead = self._clock() - self._monotonic()

    def _note_outage(self, db: sqlite3.Connection, outage: Outage, status: Status) -> int:
        """The row of the outage."""
        row = self._rows.get(outage.number, 0)
        if not row:
            self._end_open(db, outage.began_at.timestamp())  # one whose end was dropped on the way here
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

    def _end_last_run(self, db: sqlite3.Connection) -> None:
        """What a run that is over left open ends when it was last alive."""
        row = db.execute("SELECT max(at) FROM (SELECT at FROM alive UNION ALL SELECT max(at) FROM changes)").fetchone()
        last = db.execute("SELECT state FROM changes ORDER BY id DESC LIMIT 1").fetchone()
        if row[0] is None or last is None or last["state"] == NOT_WATCHED:
            return
        self._change(db, row[0], NOT_WATCHED, "the program did not run")
        self._end_open(db, row[0])

    def _end_open(self, db: sqlite3.Connection, at: float) -> None:
        """An outage whose end nobody will tell ends here."""
        db.execute("UPDATE outages SET ended_at = ?, outcome = ? WHERE ended_at IS NULL", (at, Outcome.UNKNOWN))

    def _masked(self, text: str, status: Status) -> str:
        return text if self._show_accounts else mask_accounts(text, status.accounts)


def _open(path: str | os.PathLike[str] | None) -> sqlite3.Connection:
    name = ":memory:" if path is None else os.fspath(path)
    try:
        db = sqlite3.connect(name, timeout=2.0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise ConfigError(
            "history", name, f"cannot be opened: {error}; does its folder exist, may we write?"
        ) from error
    db.row_factory = sqlite3.Row
    try:
        # The write-ahead log makes a change cost one write, and a reader never waits; FULL keeps the last change when
        # the power fails, too.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise ConfigError("history", name, "was written by a newer version of ibkr: update, or name another file")
        db.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")
    except sqlite3.Error as error:
        db.close()
        raise ConfigError("history", name, f"cannot be used: {error}; name another file") from error
    except ConfigError:
        db.close()
        raise
    return db


def _claim(path: str | os.PathLike[str] | None) -> sqlite3.Connection:
    """Hold the file beside the history that says whose it is. Raises ``ConfigError`` where another program does.

    SQLite's own lock of an empty database, which is the operating system's: it goes with its holder, however that ends.
    Of the history itself it would shut out those who read it.
    """
    name = ":memory:" if path in (None, ":memory:") else f"{os.path.realpath(path)}-owner"
    with ExitStack() as files:
        try:
            claim = sqlite3.connect(name, timeout=0.5, isolation_level=None, check_same_thread=False)
            files.enter_context(closing(claim))
            claim.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                cause = "another program keeps its history there (another ibkr serve?): end it, or name another file"
            else:
                cause = f"{name}, which says whose it is, cannot be used: {error}; may we write it, and its folder?"
            raise ConfigError("history", str(path), cause) from error
        files.pop_all()
    return claim


def _bounded(gap: dict[str, Any]) -> dict[str, Any]:
    """A report of bounded size: of each list the first, and how many there were."""
    cut = {key: value[:_MOST_ENTRIES] if isinstance(value, list) else value for key, value in gap.items()}
    counts = {key: len(value) for key, value in gap.items() if isinstance(value, list) and len(value) > _MOST_ENTRIES}
    return {**cut, "cut_from": counts} if counts else cut


def _beat(db: sqlite3.Connection, now: float) -> None:
    db.execute("INSERT OR REPLACE INTO alive (one, at) VALUES (1, ?)", (now,))


def _outage_dict(row: sqlite3.Row) -> dict[str, Any]:
    ended_at = None if row["ended_at"] is None else _moment(row["ended_at"])
    outcome = None if row["outcome"] is None else Outcome(row["outcome"])
    cause = OutageCause(row["cause"])
    outage = Outage(row["id"], _moment(row["began_at"]), cause, row["reason"], row["last_error"], ended_at, outcome)
    return {"id": row["id"], **outage.to_dict(), "gap": None if row["gap"] is None else json.loads(row["gap"])}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
