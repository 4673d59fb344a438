"""What is kept on disk for one gateway: the supervisor's lock, its status, its restarts, and requests to it.

Everything except the lock is in one SQLite file, so that several programs can read and write it on any system. The
lock is on a second file next to it. The system releases the lock whenever the process ends, for any reason.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import uuid
from collections.abc import Container, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.core.restart_policy import Restart
from ibkr.core.serialization import to_jsonable
from ibkr.gateway.disk_files import FileId, file_id, replace_file
from ibkr.gateway.gateway_folder import gateway_folder
from ibkr.gateway.store_errors import StoreDamaged, SupervisorRunning, unusable

_log = logging.getLogger("ibkr.gateway")

_BUSY_TIMEOUT = 2.0
_TEST_SIZE = 16 * 1024
_ACTIONS = ("start", "stop", "restart")
_TABLES = """
CREATE TABLE IF NOT EXISTS restarts (at TEXT NOT NULL, full_login INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), status TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT);
"""


@dataclass(frozen=True, slots=True)
class SupervisorRequest:
    """A request to the supervisor. ``action``: start, stop or restart. ``by``: who asks, as text."""

    action: str
    by: str
    with_orders: bool = False


@dataclass(frozen=True, slots=True)
class SupervisorAnswer:
    """The supervisor's answer to a request: whether it was done, and a message."""

    is_done: bool
    message: str


class GatewayStore:
    """The folder of one gateway. Use it in one thread. Other processes may use the same folder.

    Raises:
        ConfigError: A path in the settings cannot be used.

    Methods raise ``OSError`` or ``sqlite3.Error`` if the folder cannot be used. A file that was removed is made again.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self.folder = gateway_folder(settings)
        self._database: sqlite3.Connection | None = None
        self._database_id: FileId | None = None
        self._databases_opened = 0

    @property
    def log(self) -> Path:
        """The file for the output of our own gateway process."""
        return self.folder / "gateway.log"

    @property
    def supervisor_log(self) -> Path:
        """The file for the log of a supervisor in the background."""
        return self.folder / "supervisor.log"

    @property
    def process_file(self) -> Path:
        """The file that names our own gateway process, for the next supervisor."""
        return self.folder / "process.json"

    def acquire_lock(self) -> sqlite3.Connection:
        """Become the only supervisor until the returned lock is closed. Raises ``SupervisorRunning`` if one runs."""
        with ExitStack() as opened, self._reading("supervisor-lock"):
            lock = self._connect("supervisor-lock", timeout=0.5)
            opened.enter_context(closing(lock))
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                raise SupervisorRunning("another process supervises this gateway") from error
            opened.pop_all()
        return lock

    def lock_id(self) -> FileId | None:
        """Return the id of the file that is now at the path of the lock; ``None`` if there is no file."""
        return file_id(self.folder / "supervisor-lock")

    def is_supervised(self) -> bool:
        """Whether a supervisor runs."""
        if self.lock_id() is None:
            return False
        with self._reading("supervisor-lock"), closing(self._connect("supervisor-lock", timeout=0)) as lock:
            try:
                lock.execute("SELECT 1 FROM sqlite_master").fetchone()  # this fails only if a supervisor has the lock
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                return True
        return False

    def write_status(self, status: GatewayStatus) -> None:
        """Publish the state of the gateway to other programs."""
        text = json.dumps(to_jsonable(status))
        self._write("INSERT OR REPLACE INTO state VALUES (1, ?)", text)

    def read_status(self) -> GatewayStatus | None:
        """Return the state that a supervisor last published; ``None`` if none was published."""
        row = next(iter(self._read("SELECT status FROM state")), None)
        with self._reading("gateway.sqlite"):
            return None if row is None else _parse_status(json.loads(row[0]))

    def read_restarts(self) -> tuple[Restart, ...]:
        """Return the restarts of the last days, the oldest first."""
        rows = self._read("SELECT at, full_login FROM restarts ORDER BY at")
        with self._reading("gateway.sqlite"):
            return tuple(Restart(_parse_time(at), bool(full_login)) for at, full_login in rows)

    def save_restarts(self, restarts: Mapping[Restart, str]) -> None:
        """Store these restarts with their reasons, except those that are stored already."""
        stored = {(at, bool(full_login)) for at, full_login in self._read("SELECT at, full_login FROM restarts")}
        for restart, reason in restarts.items():
            at = restart.at.astimezone(UTC).isoformat()
            if (at, restart.full_login) not in stored:
                self._write("INSERT INTO restarts VALUES (?, ?, ?)", at, restart.full_login, reason)

    def forget_restarts_before(self, moment: datetime) -> None:
        """Delete the restarts before this moment."""
        self._write("DELETE FROM restarts WHERE at < ?", moment.astimezone(UTC).isoformat())

    def add_request(self, request: SupervisorRequest) -> str:
        """Store a request to the supervisor. Returns its id, for ``read_answer``."""
        name = uuid.uuid4().hex
        values = {"action": request.action, "by": request.by, "with_orders": request.with_orders}
        self._write("INSERT INTO requests (id, request) VALUES (?, ?)", name, json.dumps(values))
        return name

    def next_request(self, done: Container[str] = ()) -> tuple[str, SupervisorRequest] | None:
        """Return the oldest unanswered request and its id; ``None`` if all are answered.

        ``done``: the ids of requests that were carried out, and whose answer is not stored yet.
        """
        for row, name, text in self._read(
            "SELECT rowid, id, request FROM requests WHERE answer IS NULL ORDER BY rowid"
        ):
            if name in done:
                continue
            try:
                with self._reading("gateway.sqlite"):
                    return name, _parse_request(json.loads(text))
            except StoreDamaged as error:
                self._write("DELETE FROM requests WHERE rowid = ?", row)
                _log.warning("a request in %s cannot be used and is dropped: %s", self.folder, error.__cause__)
        return None

    def save_answer(self, name: str, answer: SupervisorAnswer) -> None:
        """Store the answer to a request. The program that made the request deletes request and answer."""
        text = json.dumps({"is_done": answer.is_done, "words": answer.message})
        self._write("UPDATE requests SET answer = ? WHERE id = ?", text, name)

    def read_answer(self, name: str) -> SupervisorAnswer | None:
        """Return the answer to a request; ``None`` until it is answered."""
        rows = self._read("SELECT answer FROM requests WHERE id = ?", name)
        if not rows or not rows[0][0]:
            return None
        with self._reading("gateway.sqlite"):
            values = json.loads(rows[0][0])
            return SupervisorAnswer(values["is_done"], values["words"])

    def delete_request(self, name: str) -> None:
        """Delete a request and its answer."""
        self._write("DELETE FROM requests WHERE id = ?", name)

    def forget_last_supervisor(self) -> None:
        """Delete the state that an earlier supervisor published, and the requests to it."""
        self._write("DELETE FROM state")
        self._write("DELETE FROM requests")

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def make_folder(self) -> None:
        """Create the folder. Only its user may read it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def database_number(self) -> int:
        """Return how often the database was opened. After a change, the file is new and lacks the earlier content."""
        with self._reading("gateway.sqlite"):
            self._open()
        return self._databases_opened

    def check_writable(self) -> None:
        """Raise ``OSError`` if a file in the folder cannot be written, for example because the disk is full."""
        self.make_folder()
        replace_file(self.folder / "write-test", "x" * _TEST_SIZE)
        (self.folder / "write-test").unlink()

    def _open(self) -> sqlite3.Connection:
        if self._database is not None and file_id(self.folder / "gateway.sqlite") != self._database_id:
            self.close()  # the old file was removed: nobody else would see what we write to it
        if self._database is None:
            with ExitStack() as opened:
                database = opened.enter_context(closing(self._connect("gateway.sqlite", timeout=_BUSY_TIMEOUT)))
                database.executescript(_TABLES)
                self._database_id = file_id(self.folder / "gateway.sqlite")
                opened.pop_all()
            self._database = database
            self._databases_opened += 1
        return self._database

    def _connect(self, name: str, timeout: float) -> sqlite3.Connection:
        self.make_folder()
        return sqlite3.connect(self.folder / name, timeout=timeout, isolation_level=None, check_same_thread=False)

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Raise ``StoreDamaged`` if the content of this file cannot be used."""
        try:
            yield
        except sqlite3.OperationalError as error:  # the file is locked, or the disk is full
            raise unusable(self.folder / name, error) from error
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreDamaged(f"{self.folder / name} is damaged ({error}): remove it") from error

    def _write(self, statement: str, *values: object) -> None:
        with self._reading("gateway.sqlite"):
            self._open().execute(statement, values)

    def _read(self, statement: str, *values: object) -> list[Any]:
        with self._reading("gateway.sqlite"):
            return self._open().execute(statement, values).fetchall()


def _parse_status(values: dict[str, Any]) -> GatewayStatus:
    times = {"since": _parse_time(values["since"]), "next_login": None}
    if values["next_login"] is not None:
        times["next_login"] = _parse_time(values["next_login"])
    return GatewayStatus(**{**values, **times, "state": GatewayState(values["state"])})


def _parse_request(values: dict[str, Any]) -> SupervisorRequest:
    request = SupervisorRequest(**values)
    if request.action not in _ACTIONS:
        raise ValueError(f"{request.action!r} is not an action")
    return request


def _parse_time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment
