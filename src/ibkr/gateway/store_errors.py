"""The errors of the supervisor's folder on disk, with the file and the cure in words."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path


class SupervisorRunning(Exception):
    """Another process already supervises this gateway."""


class StoreDamaged(sqlite3.DatabaseError):
    """A file has content that ibkr never writes. The message names the file and says what to do."""


class StoreUnusable(sqlite3.OperationalError):
    """A file cannot be read or written. The message names the file and says what to do."""


STORE_ERRORS = (OSError, sqlite3.Error)
"""The exceptions that an operation on the folder can raise."""

_OTHER_FOLDER = "or set gateway.state_dir to another folder"
_NO_SPACE = "free space on its disk"
_NOT_ALLOWED = f"let this user write there, {_OTHER_FOLDER}"
_NO_FOLDER = f"a file is in the place of a folder: remove it, {_OTHER_FOLDER}"
_CURES = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EROFS: _NOT_ALLOWED,
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
}
_SQLITE_CURES = {
    sqlite3.SQLITE_FULL: _NO_SPACE,
    sqlite3.SQLITE_READONLY: _NOT_ALLOWED,
    sqlite3.SQLITE_PERM: _NOT_ALLOWED,
    sqlite3.SQLITE_CANTOPEN: _NOT_ALLOWED,
    sqlite3.SQLITE_BUSY: "end the program that uses it",
    sqlite3.SQLITE_LOCKED: "end the program that uses it",
}
_OTHER_CURE = f"look at its disk, {_OTHER_FOLDER}"


def unusable(file: Path, error: sqlite3.Error) -> StoreUnusable:
    """Return the error of a file that SQLite cannot use, in words."""
    cure = _SQLITE_CURES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, _OTHER_CURE)
    return StoreUnusable(f"{file} cannot be used ({error}): {cure}")


def store_error_text(error: Exception) -> str:
    """Return what is wrong with the folder, with the file and the cure."""
    if not isinstance(error, OSError):
        return str(error)
    cure = _CURES.get(error.errno or 0, _OTHER_CURE)
    return f"{error.filename or 'its folder'} cannot be used ({error.strerror or error}): {cure}"
