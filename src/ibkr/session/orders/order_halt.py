"""Halts new orders: in this process, and with a file next to the journal that survives the process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ibkr.core.events import Event, Halted, Resumed

if TYPE_CHECKING:
    from ibkr.journal.halt_file import Halt, HaltFile


class HaltSwitch:
    """Combines the halts of this process, of the halt file and of the fleet.

    ``file`` is the file next to the journal, or ``None``. ``post`` processes events.
    """

    def __init__(self, file: HaltFile | None, post: Callable[[Event], None]) -> None:
        self._file, self._post = file, post
        self._halt: Halt | None = None
        self._fleet_halt: Halt | None = None
        self._on_cancelled: Callable[[str], None] = lambda _at: None
        self._process_halt: Halt | None = None
        """A halt that could not be written to the file."""

    @property
    def reason(self) -> str:
        """Why new orders are refused, even if the event loop does not know it yet. Empty if they are accepted."""
        self.refresh()
        return "" if self._halt is None else self._halt.reason

    def refresh(self) -> None:
        """Read the halt file. Called before each order, and when the file may have changed."""
        if (self._file is not None or self._fleet_halt is not None) and (current := self._current()) != self._halt:
            self._apply(current)

    def set_fleet_halt(self, halt: Halt | None, on_cancelled: Callable[[str], None]) -> None:
        """Set the halt of the fleet, or ``None``.

        ``on_cancelled`` is called after the gateway has received the global cancel of this halt.
        """
        self._fleet_halt, self._on_cancelled = halt, on_cancelled
        if (current := self._current()) != self._halt:
            self._apply(current)

    def halt(self, reason: str, *, cancel_all: bool) -> None:
        """Refuse new orders. Raises ``OSError`` if the file cannot be written, but the halt is active also then."""
        from ibkr.journal.halt_file import new_halt

        halt = new_halt(reason, f"process {os.getpid()} on {socket.gethostname()}", cancel_all=cancel_all)
        in_file = self._file.read() if self._file is not None else None
        self._process_halt = halt = halt.replacing(self._process_halt, in_file)
        self._apply(halt)
        if self._file is not None:
            self._file.write(halt)
            self._process_halt = None

    def resume(self) -> None:
        """Allow orders again. Raises ``OSError`` if the file cannot be removed. The halt then continues."""
        if self._file is not None:
            self._file.remove()
        self._process_halt = None
        self._apply(self._fleet_halt)

    def cancelled(self) -> None:
        """Record that the gateway has received the global cancel."""
        if self._file is not None:
            self._file.mark_cancelled()
        if self._fleet_halt is not None and self._fleet_halt == self._halt:
            self._fleet_halt = self._halt = replace(self._fleet_halt, cancelled_at=self._fleet_halt.at)
            self._on_cancelled(self._fleet_halt.at)
        elif self._file is not None:
            self._halt = self._current()

    def _current(self) -> Halt | None:
        """The current halt: from the file, from this process, or from the fleet."""
        return (self._file.read() if self._file is not None else None) or self._process_halt or self._fleet_halt

    def _apply(self, halt: Halt | None) -> None:
        self._halt = halt
        self._post(Resumed() if halt is None else Halted(halt.reason, halt.is_cancel_due))
