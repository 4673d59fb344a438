"""Reads a log file that another program writes: its last lines, and each new line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_READ_LIMIT = 1024 * 1024
_LONGEST_LINE = 64 * 1024


class LogTail:
    """Reads a growing file from ``offset`` on. If the file becomes shorter, it is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._rest = b""

    def skip_to_end(self) -> None:
        """Skip everything that is in the file now."""
        try:
            self.offset = self.path.stat().st_size
        except FileNotFoundError:
            self.offset = 0
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that were completed since the last call. If they are many, only the last 1 MiB of them."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return
        if size < self.offset:
            self.offset, self._rest = 0, b""
        if size == self.offset:
            return
        if size - self.offset > _READ_LIMIT:
            self.offset, self._rest = size - _READ_LIMIT, b""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(_READ_LIMIT)
        self.offset += len(data)
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:_LONGEST_LINE]
        for line in lines:
            yield line[:_LONGEST_LINE].decode(errors="replace").rstrip("\r")


def last_lines(path: Path, number: int) -> list[str]:
    """Return the last lines of a file; none if the file does not exist."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return []
    with path.open("rb") as file:
        file.seek(max(0, size - _READ_LIMIT))
        return file.read().decode(errors="replace").splitlines()[-number:] if number else []
