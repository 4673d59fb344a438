"""``Keyboard``: reads keys as they are pressed, without Enter and without waiting."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

if sys.platform == "win32":
    import msvcrt

    def _begin() -> Any:
        return None

    def _end(previous_mode: Any) -> None:
        pass

    def _read() -> str:
        return msvcrt.getwch() if msvcrt.kbhit() else ""

else:
    import os
    import select
    import termios
    import tty

    def _begin() -> Any:
        previous_mode = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)  # unlike raw mode, this keeps Ctrl-C working
        return previous_mode

    def _end(previous_mode: Any) -> None:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, previous_mode)

    def _read() -> str:
        is_ready = select.select([sys.stdin], [], [], 0)[0]
        return os.read(sys.stdin.fileno(), 64).decode(errors="replace") if is_ready else ""


class Keyboard:
    """The keyboard of the terminal: ``with Keyboard() as keyboard``, then ``keyboard.read()`` from time to time.

    ``is_available`` is true if stdin is a terminal.
    """

    def __init__(self) -> None:
        self.is_available = sys.stdin.isatty()
        self._previous_mode: Any = None

    def __enter__(self) -> Self:
        if self.is_available:
            self._previous_mode = _begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.is_available:
            _end(self._previous_mode)

    def read(self) -> str:
        """Return the keys pressed since the last call, in lower case."""
        return _read().lower() if self.is_available else ""
