"""Reads a log file that another program writes: its last lines, and each new line."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

_log = logging.getLogger("ibkr.gateway")

_READ_SIZE = 1024 * 1024
_LONGEST_LINE = 64 * 1024
_LOG_LIMIT = 10 * 1024 * 1024


class LogTail:
    """Reads a growing file from ``offset`` on. If the file becomes shorter, it is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._rest = b""
        self._last_warning = ""

    def skip_to_end(self) -> None:
        """Skip everything that is in the file now."""
        try:
            self.offset = self.path.stat().st_size
        except FileNotFoundError:
            self.offset = 0
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that were completed since the last call. A file that cannot be read has no new lines."""
        try:
            yield from self._read()
            self._last_warning = ""
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if str(error) != self._last_warning:
                self._last_warning = str(error)
                _log.warning("%s cannot be read at the moment: %s", self.path, error.strerror or error)

    def _read(self) -> Iterator[str]:
        size = self.path.stat().st_size
        if size < self.offset:
            self.offset, self._rest = 0, b""
        if size == self.offset:
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while data := file.read(_READ_SIZE):
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
        file.seek(max(0, size - _READ_SIZE))
        return file.read().decode(errors="replace").splitlines()[-number:] if number else []


async def follow_file(path: Path, number: int, poll: float | None) -> AsyncIterator[str]:
    """Yield the last lines of a file, then each new line, read every ``poll`` seconds. ``None``: no new lines."""
    tail = LogTail(path)
    tail.skip_to_end()
    for line in last_lines(path, number):
        yield line
    while poll is not None:
        for line in tail.new_lines():
            yield line
        await asyncio.sleep(poll)


def rotate_log(path: Path) -> None:
    """Put a long log aside, and drop the one that was put aside before."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        os.replace(path, path.with_suffix(".log.1"))
