"""The path of a journal, from the text of a setting or option."""

from __future__ import annotations

import os
from pathlib import Path

from ibkr.core.errors import NO_WORKING_FOLDER, ConfigError


def journal_path(text: str | Path) -> Path:
    """Return the path of the journal's file, with ``~`` replaced and links followed.

    So all links to a journal have the same lock file and halt file. Raises ``ConfigError`` if the text cannot be the
    path of a file.
    """
    cure = "must be the path of a file"
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # for example ``~nobody``, if there is no user "nobody"
        raise ConfigError("ibkr.journal", str(text), f"{cure}: {error}") from error
    if not path.name or "\0" in str(path):
        raise ConfigError("ibkr.journal", str(text), cure)
    try:
        return Path(os.path.realpath(path))
    except FileNotFoundError as error:
        raise ConfigError("ibkr.journal", str(text), NO_WORKING_FOLDER) from error
