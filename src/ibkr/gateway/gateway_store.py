"""What is kept on disk for one gateway: the supervisor's lock, its status, its restarts, and requests to it.

Everything except the lock is in one SQLite file, so that several programs can read and write it on any system. The
lock is on a second file next to it. The system releases it when the process ends, for any reason.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ibkr.core.errors import ConfigError
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.core.restart_policy import Restart
from ibkr.core.serialization import to_jsonable

_log = logging.getLogger("ibkr.gateway")

_RESTARTS_KEPT = timedelta(days=8)
_ACTIONS = ("start", "stop", "restart")
_TABLES = """
CREATE TABLE IF NOT EXISTS restarts (at TEXT NOT NULL, full_login INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), status TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT);
"""


class SupervisorRunning(Exception):
    """Another process already supervises this gateway."""


class StoreDamaged(sqlite3.DatabaseError):
    """A file has content that ibkr never writes. The message names the file and says what to do."""


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

    Methods raise ``OSError`` or ``sqlite3.Error`` if the folder cannot be used.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        base = expand_path(settings, "state_dir") if settings.state_dir else _default_folder()
        self.folder = base / _folder_name(settings)
        self._database: sqlite3.Connection | None = None

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
        """Become the only supervisor until the returned lock is closed. Raises ``SupervisorRunning``."""
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

    def is_supervised(self) -> bool:
        """Whether a supervisor runs."""
        if not (self.folder / "supervisor-lock").exists():
            return False
        with self._reading("supervisor-lock"), closing(self._connect("supervisor-lock", timeout=0)) as lock:
            try:
                lock.execute("SELECT 1 FROM sqlite_master").fetchone()  # this fails only if a supervisor holds the lock
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
        """Return the state that a supervisor last published; ``None`` before the first one."""
        row = self._open().execute("SELECT status FROM state").fetchone()
        with self._reading("gateway.sqlite"):
            return None if row is None else _parse_status(json.loads(row[0]))

    def read_restarts(self) -> tuple[Restart, ...]:
        """Return the restarts of the last days, the oldest first."""
        rows = self._open().execute("SELECT at, full_login FROM restarts ORDER BY at").fetchall()
        with self._reading("gateway.sqlite"):
            return tuple(Restart(_parse_time(at), bool(full_login)) for at, full_login in rows)

    def add_restart(self, restart: Restart, reason: str) -> None:
        """Store one restart."""
        at = restart.at.astimezone(UTC)
        self._write("DELETE FROM restarts WHERE at < ?", (at - _RESTARTS_KEPT).isoformat())
        self._write("INSERT INTO restarts VALUES (?, ?, ?)", at.isoformat(), restart.full_login, reason)

    def add_request(self, request: SupervisorRequest) -> str:
        """Store a request to the supervisor. Returns its id, for ``read_answer``."""
        name = uuid.uuid4().hex
        values = {"action": request.action, "by": request.by, "with_orders": request.with_orders}
        self._write("INSERT INTO requests (id, request) VALUES (?, ?)", name, json.dumps(values))
        return name

    def next_request(self) -> tuple[str, SupervisorRequest] | None:
        """Return the oldest unanswered request and its id; ``None`` if all are answered."""
        statement = "SELECT rowid, id, request FROM requests WHERE answer IS NULL ORDER BY rowid"
        while (row := self._open().execute(statement).fetchone()) is not None:
            try:
                with self._reading("gateway.sqlite"):
                    return row[1], _parse_request(json.loads(row[2]))
            except StoreDamaged as error:
                _log.warning("a request in %s cannot be used and is dropped: %s", self.folder, error.__cause__)
                self._write("DELETE FROM requests WHERE rowid = ?", row[0])
        return None

    def save_answer(self, name: str, answer: SupervisorAnswer) -> None:
        """Store the answer to a request. The program that made the request deletes both."""
        text = json.dumps({"is_done": answer.is_done, "words": answer.message})
        self._write("UPDATE requests SET answer = ? WHERE id = ?", text, name)

    def read_answer(self, name: str) -> SupervisorAnswer | None:
        """Return the answer to a request; ``None`` until it is answered."""
        row = self._open().execute("SELECT answer FROM requests WHERE id = ?", (name,)).fetchone()
        if not row or not row[0]:
            return None
        with self._reading("gateway.sqlite"):
            values = json.loads(row[0])
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

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            with self._reading("gateway.sqlite"), ExitStack() as opened:
                database = opened.enter_context(closing(self._connect("gateway.sqlite", timeout=2.0)))
                database.executescript(_TABLES)
                opened.pop_all()
            self._database = database
        return self._database

    def _connect(self, name: str, timeout: float) -> sqlite3.Connection:
        self.make_folder()
        return sqlite3.connect(self.folder / name, timeout=timeout, isolation_level=None, check_same_thread=False)

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        """Raise ``StoreDamaged`` if the content of this file cannot be used."""
        try:
            yield
        except sqlite3.OperationalError:  # the file is locked, or the disk is full
            raise
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreDamaged(f"{self.folder / name} is damaged ({error}): remove it") from error

    def _write(self, statement: str, *values: object) -> None:
        self._open().execute(statement, values)


def expand_path(settings: GatewaySettings, name: str) -> Path:
    """Return the absolute path that a setting names. Raises ``ConfigError``."""
    text: str = getattr(settings, name)
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        cure = "begins with the home folder of a user who does not exist; give the full path"
        raise ConfigError(f"ibkr.gateway.{name}", text, cure) from error


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


def _folder_name(settings: GatewaySettings) -> str:
    """Return the name of the gateway's folder: the same for every configuration of the same gateway."""
    target = {
        "ibc2": settings.ibc2_home,
        "ibc": settings.ibc_ini and str(expand_path(settings, "ibc_ini").resolve()),
        "docker": settings.container,
        "systemd": settings.unit,
        "command": settings.start,
    }.get(settings.driver, "")
    words = re.sub(r"[^\w.-]+", "-", target)[:30] if settings.driver in ("docker", "systemd") else ""
    digest = hashlib.sha256(target.encode()).hexdigest()[:10]
    return "-".join(filter(None, (settings.driver, words, digest)))


def _default_folder() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "ibkr"
