"""Replaces a file as a whole, and recognizes a file by more than its path."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

FileId = tuple[int, int]
"""A device and the number of a file on it."""


def replace_file(path: Path, text: str) -> None:
    """Write a file so that it always has the old text or the new text. Raises ``OSError`` if it cannot be written."""
    fresh = path.with_name(f"{path.name}.new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        with suppress(OSError):  # the first error says what is wrong
            fresh.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def file_id(path: Path) -> FileId | None:
    """Return what distinguishes a file from a later file with the same path; ``None`` if there is no file."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino
