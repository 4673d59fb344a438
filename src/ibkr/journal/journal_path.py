"""The path of a journal, from the text of a setting or option."""

from __future__ import annotations

from pathlib import Path

from ibkr.core.errors import ConfigError


def journal_path(text: str | Path) -> Path:
    """Return the absolute path, with ``~`` replaced. Raises ``ConfigError`` if it cannot be the path of a file."""
    cure = "must be the path of a file"
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:  # "~" and a user that does not exist
        raise ConfigError("ibkr.journal", str(text), f"{cure}: {error}") from error
    if not path.name or "\0" in str(path):
        raise ConfigError("ibkr.journal", str(text), cure)
    return path.absolute()
