"""A log file that somebody else writes: its last lines, and each new one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_AT_ONCE = 1024 * 1024
_LONGEST_LINE = 64 * 1024


class LogFile:
    """Reads on from ``offset``. A file that has become shorter was begun anew, and is read from its begin."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._rest = b""

    def skip_to_end(self) -> None:
        """Read only what comes from now on."""
        try:
            self.offset = self.path.stat().st_size
        except FileNotFoundError:
            self.offset = 0
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        """The lines that are complete since the last time; of very much at once, the last part."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return
        if size < self.offset:
            self.offset, self._rest = 0, b""
        if size == self.offset:
            return
        if size - self.offset > _AT_ONCE:
            self.offset, self._rest = size - _AT_ONCE, b""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(_AT_ONCE)
        self.offset += len(data)
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:_LONGEST_LINE]
        for line in lines:
            yield line[:_LONGEST_LINE].decode(errors="replace").rstrip("\r")


def last_lines(path: Path, number: int) -> list[str]:
    """The last lines of a file; none if there is no file."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return []
    with path.open("rb") as file:
        file.seek(max(0, size - _AT_ONCE))
        return file.read().decode(errors="replace").splitlines()[-number:] if number else []
