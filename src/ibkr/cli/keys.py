"""Keys as they are typed, without Enter."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

if sys.platform == "win32":
    import msvcrt

    def _begin() -> Any:
        return None

    def _end(before: Any) -> None:
        pass

    def _read() -> str:
        return msvcrt.getwch() if msvcrt.kbhit() else ""

else:
    import os
    import select
    import termios
    import tty

    def _begin() -> Any:
        before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)  # Ctrl-C remains what it is
        return before

    def _end(before: Any) -> None:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    def _read() -> str:
        waits = select.select([sys.stdin], [], [], 0)[0]
        return os.read(sys.stdin.fileno(), 64).decode(errors="replace") if waits else ""


class Keys:
    """``with Keys() as keys:``, then ``keys.typed()`` from time to time. ``are_there``: whether somebody can type."""

    def __init__(self) -> None:
        self.are_there = sys.stdin.isatty()
        self._before: Any = None

    def __enter__(self) -> Self:
        if self.are_there:
            self._before = _begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.are_there:
            _end(self._before)

    def typed(self) -> str:
        """What was typed since the last call, in small letters."""
        return _read().lower() if self.are_there else ""
