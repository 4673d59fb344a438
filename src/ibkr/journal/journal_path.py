"""The path of a journal, from the text of a setting or option."""

from __future__ import annotations

import os
from pathlib import Path

from ibkr.core.errors import NO_WORKING_FOLDER, ConfigError


def journal_path(text: str | Path) -> Path:
    """Return the file that this name of a journal leads to, with ``~`` replaced.

    Each link to a journal leads to the same files next to it: lock and halt. Raises ``ConfigError`` if it cannot be the
    path of a file.
    """
    cure = "must be the path of a file"
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # "~" and a user that does not exist
        raise ConfigError("ibkr.journal", str(text), f"{cure}: {error}") from error
    if not path.name or "\0" in str(path):
        raise ConfigError("ibkr.journal", str(text), cure)
    try:
        return Path(os.path.realpath(path))
    except FileNotFoundError as error:
        raise ConfigError("ibkr.journal", str(text), NO_WORKING_FOLDER) from error
