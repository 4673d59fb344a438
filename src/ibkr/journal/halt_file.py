"""The halt file next to a journal. It survives the program, and everybody on this computer can create it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

_ATTEMPTS = 20 if os.name == "nt" else 0
"""Windows refuses to replace or remove a file while another process reads it."""
_ATTEMPT_INTERVAL = 0.01


@dataclass(frozen=True, slots=True)
class Halt:
    """Why new orders are refused, by whom, and since when (ISO time).

    Attributes:
        cancel_all: All orders must be cancelled, too.
        cancelled_at: When the gateway received that cancel. Empty until then.
    """

    reason: str
    by: str = ""
    at: str = ""
    cancel_all: bool = False
    cancelled_at: str = ""

    @property
    def is_cancel_due(self) -> bool:
        """Whether the global cancel must still be sent."""
        return self.cancel_all and not self.cancelled_at

    def as_cancelled(self, at: str = "") -> Halt:
        """Return this halt after the gateway has received its global cancel."""
        return replace(self, cancelled_at=at or _now())

    def replacing(self, *earlier: Halt | None) -> Halt:
        """Return this new halt, with the global cancel of the halts that it replaces if that must still be sent."""
        return replace(self, cancel_all=True) if any(each and each.is_cancel_due for each in earlier) else self


class HaltFile:
    """The halt file of one journal. Raises ``OSError`` if it cannot be written."""

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(f"{journal.name}-halt.json")
        self._stat_key: tuple[int, int, int] | None = None
        self._last_halt: Halt | None = None

    def read(self) -> Halt | None:
        """The current halt, or ``None``. If the file cannot be read, this is a halt: trading could be wrong.

        This is called before each order, so it is cheap while the file does not change.
        """
        try:
            found = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            self._stat_key = self._last_halt = None
            return None
        except OSError as error:
            return self._unreadable(error.strerror or str(error))
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._stat_key:
            self._last_halt, is_readable = self._read()
            self._stat_key = stamp if is_readable else None
        return self._last_halt

    def _read(self) -> tuple[Halt | None, bool]:
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
            return Halt(
                _clean(values["reason"]) or "no reason was given",
                _clean(values["by"]),
                _clean(values["at"]),
                bool(values["cancel_all"]),
                _clean(values["cancelled_at"]),
            ), True
        except FileNotFoundError:
            return None, False
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            return self._unreadable(repr(error)), False

    def _unreadable(self, why: str) -> Halt:
        """Return the halt that a file is which cannot be read. A cancel that was due when it could be read is due."""
        is_due = self._last_halt is not None and self._last_halt.is_cancel_due
        return Halt(f"the halt file {self.path} cannot be read: {why}", cancel_all=is_due)

    def write(self, halt: Halt) -> Halt:
        """Start a halt. It replaces an earlier halt, but keeps its global cancel if that must still be sent.

        Returns the halt as it is written.
        """
        return self._change(halt.replacing) or halt

    def _change(self, change: Callable[[Halt | None], Halt | None]) -> Halt | None:
        """Write what ``change`` makes of the current halt. Returns it. If it is ``None``, nothing changes."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        while (halt := change(current := self.read())) is not None:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(asdict(halt), file)
                file.flush()
                os.fsync(file.fileno())
            if self.read() == current:  # otherwise another process has changed it during the slow part above
                _retry(lambda: os.replace(new, self.path))
                return halt
        new.unlink(missing_ok=True)
        return None

    def remove(self) -> None:
        """End the halt."""
        _retry(lambda: self.path.unlink(missing_ok=True))

    def mark_cancelled(self, sent: Collection[Halt]) -> None:
        """Note that the gateway has received the global cancel that was sent for these halts.

        If the file cannot be written, this object remembers it as long as the file does not change.
        """
        try:
            self._change(lambda halt: halt.as_cancelled() if halt is not None and halt in sent else None)
        except OSError:
            if self._last_halt is not None and self._last_halt in sent:
                self._last_halt = self._last_halt.as_cancelled()
            raise


def new_halt(reason: str, by: str, *, cancel_all: bool) -> Halt:
    """A halt that starts now."""
    return Halt(_clean(reason) or "no reason was given", by, _now(), cancel_all)


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _clean(text: object) -> str:
    """The text without control characters, and at most as long as a log line should be."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))[:300].strip()


def _retry(act: Callable[[], object]) -> None:
    for _ in range(_ATTEMPTS):
        try:
            act()
            return
        except PermissionError:
            time.sleep(_ATTEMPT_INTERVAL)
    act()
