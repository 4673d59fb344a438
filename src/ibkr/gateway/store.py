"""What is kept on disk of one gateway: who supervises it, its state, its restarts, and requests to its supervisor.

All of it is in one SQLite file, so that several programs can read and write it on any system. The claim of the
supervisor is a lock on a file beside it, which ends with the process however that ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import sys
import uuid
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ibkr.core.gateway import GatewayState, GatewayStatus
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.plain import plain
from ibkr.core.restart import Restart

_KEPT = timedelta(days=8)
_TIMES = ("since", "next_login")
_TABLES = """
CREATE TABLE IF NOT EXISTS restarts (at TEXT NOT NULL, full_login INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), status TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT);
"""


class SupervisorRuns(Exception):
    """Another process supervises this gateway."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks the supervisor for. ``action``: start, stop or restart; ``by``: who asks, in words."""

    action: str
    by: str
    with_orders: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request, in words."""

    is_done: bool
    words: str


class GatewayStore:
    """The folder of one gateway. Used in one thread; other processes may use the same folder.

    Raises ``OSError`` or ``sqlite3.Error`` if the folder cannot be used.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        base = Path(settings.state_dir).expanduser() if settings.state_dir else _default_folder()
        self.folder = base / _name_of(settings)
        self._database: sqlite3.Connection | None = None

    @property
    def log(self) -> Path:
        """Where a process of ours writes its output."""
        return self.folder / "gateway.log"

    @property
    def supervisor_log(self) -> Path:
        """Where a supervisor in the background writes its own."""
        return self.folder / "supervisor.log"

    @property
    def process_file(self) -> Path:
        """Which process is ours, so that the next supervisor finds it."""
        return self.folder / "process.json"

    def claim(self) -> sqlite3.Connection:
        """Become the one supervisor until the result is closed. Raises ``SupervisorRuns``."""
        with ExitStack() as opened:
            claim = self._connect("supervisor-lock", timeout=0.5)
            opened.enter_context(closing(claim))
            try:
                claim.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                raise SupervisorRuns("another process supervises this gateway") from error
            opened.pop_all()
        return claim

    def is_claimed(self) -> bool:
        """Whether a supervisor runs."""
        if not (self.folder / "supervisor-lock").exists():
            return False
        with closing(self._connect("supervisor-lock", timeout=0)) as claim:
            try:
                claim.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                return True
        return False

    def write_status(self, status: GatewayStatus) -> None:
        """Publish the state of the gateway to other programs."""
        text = json.dumps(plain(status))
        self._write("INSERT OR REPLACE INTO state VALUES (1, ?)", text)

    def read_status(self) -> GatewayStatus | None:
        """How its supervisor last saw the gateway; ``None`` if none has told."""
        row = self._open().execute("SELECT status FROM state").fetchone()
        return None if row is None else _status_of(json.loads(row[0]))

    def restarts(self) -> tuple[Restart, ...]:
        """The restarts of the last days, the oldest first."""
        rows = self._open().execute("SELECT at, full_login FROM restarts ORDER BY at").fetchall()
        return tuple(Restart(datetime.fromisoformat(at), bool(full_login)) for at, full_login in rows)

    def add_restart(self, restart: Restart, reason: str) -> None:
        """Count one restart."""
        at = restart.at.astimezone(UTC)
        self._write("DELETE FROM restarts WHERE at < ?", (at - _KEPT).isoformat())
        self._write("INSERT INTO restarts VALUES (?, ?, ?)", at.isoformat(), restart.full_login, reason)

    def ask(self, request: Request) -> str:
        """Leave a request to the supervisor; the name to ask for its answer by."""
        name = uuid.uuid4().hex
        values = {"action": request.action, "by": request.by, "with_orders": request.with_orders}
        self._write("INSERT INTO requests (id, request) VALUES (?, ?)", name, json.dumps(values))
        return name

    def next_request(self) -> tuple[str, Request] | None:
        """The oldest request that has no answer."""
        row = self._open().execute("SELECT id, request FROM requests WHERE answer IS NULL ORDER BY rowid").fetchone()
        return None if row is None else (row[0], Request(**json.loads(row[1])))

    def answer(self, name: str, answer: Answer) -> None:
        """Answer a request; all older answers are forgotten."""
        self._write("DELETE FROM requests WHERE answer IS NOT NULL")
        text = json.dumps({"is_done": answer.is_done, "words": answer.words})
        self._write("UPDATE requests SET answer = ? WHERE id = ?", text, name)

    def answer_to(self, name: str) -> Answer | None:
        """The answer to a request, once there is one."""
        row = self._open().execute("SELECT answer FROM requests WHERE id = ?", (name,)).fetchone()
        return Answer(**json.loads(row[0])) if row and row[0] else None

    def drop_requests(self) -> None:
        """Forget what was asked of an earlier supervisor."""
        self._write("DELETE FROM requests")

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def make_folder(self) -> None:
        """Make the folder, for its user alone."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._connect("gateway.sqlite", timeout=2.0)
            self._database.executescript(_TABLES)
        return self._database

    def _connect(self, name: str, timeout: float) -> sqlite3.Connection:
        self.make_folder()
        return sqlite3.connect(self.folder / name, timeout=timeout, isolation_level=None, check_same_thread=False)

    def _write(self, statement: str, *values: object) -> None:
        self._open().execute(statement, values)


def _status_of(values: dict[str, Any]) -> GatewayStatus:
    times = {name: values[name] and datetime.fromisoformat(values[name]) for name in _TIMES}
    return GatewayStatus(**{**values, **times, "state": GatewayState(values["state"])})


def _name_of(settings: GatewaySettings) -> str:
    """The same for every configuration of the same gateway."""
    target = {
        "ibc2": settings.ibc2_home,
        "ibc": settings.ibc_ini and str(Path(settings.ibc_ini).expanduser().resolve()),
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
