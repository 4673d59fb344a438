"""Reads recordings: `Recording`, its `Header` and its messages (`Entry`)."""

import base64
import binascii
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ibkr.proxy.recording_writer import FORMAT, SUFFIX

_PREFIX = 4


class RecordingError(ValueError):
    """A file is not a recording or cannot be read. The message names the line and the reason."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message. `at` is in seconds since the session began.

    `fields` is None if they are not known. `body` is None if it was omitted from the recording.
    """

    at: float
    is_request: bool
    name: str
    fields: Mapping[str, Any] | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a recording: when the session began, and the versions."""

    started: str
    program: str
    server_version: int
    connection_time: str
    client_versions: tuple[int, int] | None
    is_private: bool


@dataclass
class Recording:
    """A recorded session: its header, its messages in order, and why it ended.

    `end` is empty, and `ended_at` (seconds since the session began) is None, if the end was not recorded.
    """

    path: Path
    header: Header
    entries: list[Entry] = field(default_factory=list)
    end: str = ""
    ended_at: float | None = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a recording from a file and from the parts that continue it. Ignores an incomplete last line.

        Raises:
            OSError: The file cannot be read.
            RecordingError: The file is not a recording, has a newer format, or a line of it is damaged.
        """
        path = Path(path)
        lines = _lines(path)
        recording = cls(path, _header(path, next(lines, (0, {}))[1]))
        recording._add_lines(path, lines)
        for part in _parts(path):
            lines = _lines(part)
            _header(part, next(lines, (0, {}))[1])
            recording._add_lines(part, lines)
        return recording

    @property
    def duration(self) -> float:
        """Seconds from the beginning to the end, or to the last message."""
        last = self.entries[-1].at if self.entries else 0.0
        return last if self.ended_at is None else self.ended_at

    def _add_lines(self, path: Path, lines: Iterator[tuple[int, dict[str, Any]]]) -> None:
        for number, line in lines:
            try:
                if "end" in line:
                    self.end, self.ended_at = str(line["end"]), _finite(line["t"])
                else:
                    self.entries.append(_entry(line))
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise RecordingError(f"{path}, line {number}: not a line of a recording: {error}") from None


def _entry(line: Mapping[str, Any]) -> Entry:
    fields, encoded = line["fields"], line["frame"]
    if line["from"] not in ("client", "gateway") or not (fields is None or isinstance(fields, dict)):
        raise ValueError("invalid value of from or fields")
    body = None
    if encoded is not None:
        body = base64.b64decode(encoded, validate=True)
        if int.from_bytes(body[:_PREFIX], "big") != len(body) - _PREFIX:
            raise binascii.Error("the length of the frame does not match")
        body = body[_PREFIX:]
    return Entry(_finite(line["t"]), line["from"] == "client", str(line["name"]), fields, body)


def _finite(number: Any) -> float:
    """Return the number as a float.

    Raises ``ValueError`` if it is not finite. JSON has no infinity, but Python reads 1e999 as infinity.
    """
    if not math.isfinite(value := float(number)):
        raise ValueError(f"{number} is not a finite number")
    return value


def _header(path: Path, line: Mapping[str, Any]) -> Header:
    version = line.get("ibkr_recording")
    if not isinstance(version, int):
        raise RecordingError(f"{path} is not a recording: its first line is not the header of one")
    if version > FORMAT:
        raise RecordingError(f"{path} has format {version}, this program reads {FORMAT}: use a newer ibkr")
    try:
        offered = line["client_versions"]
        return Header(
            str(line["started"]),
            str(line["program"]),
            int(line["server_version"]),
            str(line["connection_time"]),
            (int(offered[0]), int(offered[1])) if offered else None,
            bool(line["is_private"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RecordingError(f"{path}: the header is damaged: {error}") from None


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the content of each complete line."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):  # the program was killed while it wrote the line
                return
            try:
                line = json.loads(raw, parse_float=_finite, parse_constant=_finite)
            except (ValueError, RecursionError) as error:
                what = "is not a recording" if number == 1 else f"line {number} is damaged"
                raise RecordingError(f"{path}: {what}: {str(error)[:80]}") from None
            if not isinstance(line, dict):
                raise RecordingError(f"{path}, line {number}: not a line of a recording")
            yield number, line


def _parts(path: Path) -> list[Path]:
    """Return the files that continue a session, in order."""
    stem = path.name.removesuffix(SUFFIX)
    if ".part" in stem:
        return []
    found = []
    for part in path.parent.glob("*.part*"):
        base, _, rest = part.name.partition(".part")
        number = rest.partition("-")[0]
        if base == stem and number.isdecimal():
            found.append((int(number), part))
    return [part for _, part in sorted(found)]
