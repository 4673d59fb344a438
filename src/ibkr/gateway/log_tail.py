"""Reads a log file that another program writes: its last lines, and each new line."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from ibkr.gateway.disk_files import file_id

_log = logging.getLogger("ibkr.gateway")

_READ_SIZE = 1024 * 1024
_LONGEST_LINE = 64 * 1024
_LOG_LIMIT = 10 * 1024 * 1024


class LogTail:
    """Reads a growing file from ``offset`` on. If the file becomes shorter, it is read from its beginning.

    Args:
        path: The file.
        keeps_open: Whether the file stays open until ``close``. Then new lines are read even if somebody has removed
            the file. A new file with the same path is read from its beginning.
    """

    def __init__(self, path: Path, *, keeps_open: bool = False) -> None:
        self.path = path
        self.offset = 0
        self._keeps_open = keeps_open
        self._file: BinaryIO | None = None
        self._rest = b""
        self._last_warning = ""

    def skip_to_end(self) -> None:
        """Skip everything that is in the file now."""
        self.close()
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

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> Iterator[str]:
        file = self._open()
        try:
            size = os.fstat(file.fileno()).st_size
            if size < self.offset:
                self.offset, self._rest = 0, b""
            file.seek(self.offset)
            while size != self.offset and (data := file.read(_READ_SIZE)):
                self.offset += len(data)
                *lines, rest = (self._rest + data).split(b"\n")
                self._rest = rest[:_LONGEST_LINE]
                for line in lines:
                    yield line[:_LONGEST_LINE].decode(errors="replace").rstrip("\r")
        finally:
            if not self._keeps_open:
                self.close()

    def _open(self) -> BinaryIO:
        if self._file is not None:
            found = os.fstat(self._file.fileno())
            if file_id(self.path) not in (None, (found.st_dev, found.st_ino)):
                self.close()
                self.offset, self._rest = 0, b""
        if self._file is None:
            self._file = self.path.open("rb")
        return self._file


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
    """Yield the last lines of a file. After this, look for new lines every ``poll`` seconds; ``None``: stop."""
    tail = LogTail(path)
    tail.skip_to_end()
    for line in last_lines(path, number):
        yield line
    while poll is not None:
        for line in tail.new_lines():
            yield line
        await asyncio.sleep(poll)


def rotate_log(path: Path) -> None:
    """Rename a log if it is long. This replaces the log that was renamed before."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        os.replace(path, path.with_suffix(".log.1"))
