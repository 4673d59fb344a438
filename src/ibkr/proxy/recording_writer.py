"""Writes recordings: in a directory, one file of JSON lines for each session.

The first line is the header. A line follows for each message, with its time, direction, name, fields and frame. The
last line says why the session ended. After each slice of work, the lines are written to the system. So if the process
is killed, every line except the last is complete.
"""

import base64
import datetime as dt
import json
import logging
import math
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from ibkr.proxy.cleaning import CleanedMessage, Cleaner
from ibkr.proxy.connection_parser import ConnectionParser
from ibkr.proxy.observer_queue import ObserverQueue
from ibkr.wire import frame

log = logging.getLogger("ibkr.proxy")

FORMAT = 1
"""The version of the format. A reader refuses a newer one."""

SUFFIX = ".ibkr.jsonl"
MAX_FILE = 64 * 1024 * 1024
"""Bytes of one file. Beyond that, the session continues in another part."""

_QUEUE_LIMIT = 256 * 1024
"""Bytes that may wait in a program that records its own session. If there are more, they are recorded immediately."""

MAX_TOTAL = 1024 * 1024 * 1024
"""Bytes of all recordings in a directory. Beyond that, the oldest are deleted."""


class Recorder:
    """Writes recordings to a directory, which is created if necessary. Raises `OSError` if that fails.

    Args:
        directory: The directory for the files.
        keeps_private: Whether account ids, names, references and texts are recorded unchanged.
        max_file: Bytes of one file. Beyond that, a session continues in another file.
        max_total: Bytes of all files in the directory. Beyond that, the oldest are deleted.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        keeps_private: bool = False,
        max_file: int = MAX_FILE,
        max_total: int = MAX_TOTAL,
    ) -> None:
        self.directory = Path(directory)
        self.keeps_private = keeps_private
        self.max_file = max_file
        self.max_total = max_total
        self.open_files: set[Path] = set()
        self.directory.mkdir(parents=True, exist_ok=True)
        if keeps_private:
            log.warning("recordings in %s hold account ids, names and references: do not share them", self.directory)

    def session(self, cleaner: Cleaner) -> "SessionRecorder":
        """Return an observer that records one session."""
        return SessionRecorder(self, cleaner)

    def observe(self) -> ObserverQueue:
        """Return a queue that records the connection whose bytes it is given."""
        cleaner = Cleaner(keeps_private=self.keeps_private)
        return ObserverQueue(ConnectionParser(), cleaner, [self.session(cleaner)], limit=_QUEUE_LIMIT)

    def create(self, stem: str) -> tuple[Path, BinaryIO]:
        """Create a new file whose name begins with this stem."""
        number = 1
        while True:
            path = self.directory / f"{stem}-{number}{SUFFIX}"
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            except FileExistsError:
                number += 1
                continue
            self.open_files.add(path)
            return path, os.fdopen(descriptor, "wb", buffering=0)

    def delete_oldest(self) -> None:
        """Delete the oldest recordings until the others are within the limit. Files in use stay."""
        found = [(path.stat(), path) for path in self.directory.glob(f"*{SUFFIX}")]
        total = sum(stat.st_size for stat, _ in found)
        for stat, path in sorted(found, key=lambda each: each[0].st_mtime):
            if total <= self.max_total:
                return
            if path not in self.open_files:
                path.unlink(missing_ok=True)
                total -= stat.st_size
                log.warning("deleted the oldest recording %s: all together exceed %s bytes", path.name, self.max_total)


class SessionRecorder:
    """An observer that records one session."""

    wants_streams = True

    def __init__(self, recorder: Recorder, cleaner: Cleaner) -> None:
        self._recorder = recorder
        self._cleaner = cleaner
        self._header: dict[str, Any] = {}
        self._started_at = 0.0
        self._stem = ""
        self._part = 0
        self._size = 0
        self._path: Path | None = None
        self._file: BinaryIO | None = None
        self._lines: list[bytes] = []

    def __repr__(self) -> str:
        return f"the recording in {self._path or self._recorder.directory}"

    def on_open(self, parser: ConnectionParser, at: float) -> None:
        now = dt.datetime.now(dt.UTC)
        hello = parser.hello
        self._started_at = at
        self._stem = f"{now:%Y%m%dT%H%M%SZ}"
        self._header = {
            "ibkr_recording": FORMAT,
            "started": now.isoformat(timespec="milliseconds"),
            "program": f"ibkr {metadata.version('ibkr-connector')}",
            "server_version": parser.server_version,
            "connection_time": parser.connection_time,
            "client_versions": [hello.min_version, hello.max_version] if hello else None,
            "connect_options": self._cleaner.clean_sentence(hello.options) if hello else "",
            "is_private": self._recorder.keeps_private,
        }
        self._next_part()

    def on_message(self, at: float, is_request: bool, cleaned: CleanedMessage) -> None:
        if self._file is None:
            return
        line = {
            "t": round(at - self._started_at, 6),
            "from": "client" if is_request else "gateway",
            "name": cleaned.name,
            "fields": cleaned.fields,
            "frame": None if cleaned.body is None else base64.b64encode(frame(cleaned.body)).decode(),
        }
        try:
            self._lines.append(_line(line))
        except ValueError:  # the message has a number that JSON does not support
            self._lines.append(_line({**line, "fields": to_json(cleaned.fields)}))

    def on_batch_end(self) -> None:
        self._write()
        if self._file is not None and self._size > self._recorder.max_file:
            self._finish()
            self._next_part()

    def on_close(self, at: float, reason: str) -> None:
        if self._file is None:
            return
        self._lines.append(_line({"t": round(at - self._started_at, 6), "end": reason}))
        self._write()
        self._finish()

    def _next_part(self) -> None:
        self._part += 1
        stem = self._stem if self._part == 1 else f"{self._base()}.part{self._part}"
        self._path, self._file = self._recorder.create(stem)
        if self._part == 1:
            log.info("recording to %s", self._path)
        self._size = 0
        self._lines.append(_line({**self._header, "part": self._part}))
        self._write()
        self._recorder.delete_oldest()

    def _base(self) -> str:
        assert self._path is not None
        return self._path.name.removesuffix(SUFFIX).partition(".part")[0]

    def _write(self) -> None:
        if self._file is None or not self._lines:
            return
        data, self._lines = memoryview(b"".join(self._lines)), []
        self._size += len(data)
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            self._finish()
            raise

    def _finish(self) -> None:
        assert self._file is not None
        assert self._path is not None
        self._file.close()
        self._file = None
        self._recorder.open_files.discard(self._path)


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def to_json(value: object) -> Any:
    """Convert a value to JSON's types. Numbers that JSON does not support become texts."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping():
            return {key: to_json(item) for key, item in value.items()}
        case list() | tuple():
            return [to_json(item) for item in value]
    return value


def _line(value: Mapping[str, Any]) -> bytes:
    return _encode(value).encode() + b"\n"
