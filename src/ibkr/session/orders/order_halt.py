"""Halts new orders: in this process, and with a file next to the journal that survives the process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from ibkr.core.events import Event, Halted, Resumed

if TYPE_CHECKING:
    from ibkr.journal.halt_file import Halt, HaltFile


class HaltSwitch:
    """Combines the halts of this process, of the halt file and of the fleet.

    New orders are refused while there is any of them; the first one gives the reason. All orders must be cancelled as
    long as the global cancel of any of them is due. Each of them ends only by its own ``resume``.

    ``file`` is the file next to the journal, or ``None``. ``post`` processes events.
    """

    def __init__(self, file: HaltFile | None, post: Callable[[Event], None]) -> None:
        self._file, self._post = file, post
        self._fleet_halt: Halt | None = None
        self._on_cancelled: Callable[[str], None] = lambda _at: None
        self._process_halt: Halt | None = None
        """A halt that could not be written to the file."""
        self._reason = ""
        self._due: frozenset[Halt] = frozenset()
        """Halts with a due global cancel, as far as the machine knows of them. The cancel may have been sent."""
        self._sent: frozenset[Halt] = frozenset()
        """Halts whose global cancel was due when the last one was sent."""

    @property
    def reason(self) -> str:
        """Why new orders are refused, even if the event loop does not know it yet. Empty if they are accepted."""
        self.refresh()
        return self._reason

    def refresh(self) -> None:
        """Read the halt file. Called before each order, and when the file may have changed."""
        in_file = self._file.read() if self._file is not None else None
        halts = [halt for halt in (self._process_halt, in_file, self._fleet_halt) if halt is not None]
        reason = halts[0].reason if halts else ""
        due = frozenset(halt for halt in halts if halt.is_cancel_due)
        is_known = reason == self._reason and due <= self._due and bool(due) == bool(self._due)
        self._reason, self._due = reason, due
        if not is_known:
            self._post(Halted(reason, bool(due)) if halts else Resumed())

    def set_fleet_halt(self, halt: Halt | None, on_cancelled: Callable[[str], None]) -> None:
        """Set the halt of the fleet, or ``None``.

        ``on_cancelled`` is called after the gateway has received the global cancel of this halt.
        """
        was, self._fleet_halt, self._on_cancelled = self._fleet_halt, halt, on_cancelled
        if halt is not None and halt.is_cancel_due and was is not None and was.cancelled_at == halt.at:
            self._record_in_fleet(halt)  # the servers do not know it yet
        self.refresh()

    def halt(self, reason: str, *, cancel_all: bool) -> None:
        """Refuse new orders. Raises ``OSError`` if the file cannot be written, but the halt is active also then."""
        from ibkr.journal.halt_file import new_halt

        halt = new_halt(reason, f"process {os.getpid()} on {socket.gethostname()}", cancel_all=cancel_all)
        in_file = self._file.read() if self._file is not None else None
        self._process_halt = halt.replacing(self._process_halt, in_file)
        if cancel_all:  # also if an equal halt is already known: this is another request
            self._reason = ""
        self.refresh()
        if self._file is not None:
            self._file.write(self._process_halt)
            self._process_halt = None
            self.refresh()

    def resume(self) -> None:
        """Allow orders again. Raises ``OSError`` if the file cannot be removed. The halt then continues."""
        if self._file is not None:
            self._file.remove()
        self._process_halt = None
        self.refresh()

    def cancel_sent(self) -> None:
        """Remember for which halts the global cancel is sent now. A halt that comes later needs another one."""
        self._sent = self._due

    def cancelled(self) -> None:
        """Record that the gateway has received the global cancel that was sent last. Raises ``OSError``."""
        sent, self._sent, self._due = self._sent, frozenset(), frozenset()
        if self._process_halt is not None and self._process_halt in sent:
            self._process_halt = self._process_halt.as_cancelled()
        if self._fleet_halt is not None and self._fleet_halt in sent:
            self._record_in_fleet(self._fleet_halt)
        try:
            if self._file is not None:
                self._file.mark_cancelled(sent)
        finally:
            self.refresh()

    def _record_in_fleet(self, halt: Halt) -> None:
        self._fleet_halt = halt.as_cancelled(halt.at)
        self._on_cancelled(halt.at)
