"""Timers that somebody owns, and that end with him."""

import asyncio
from collections.abc import Callable


class Timers:
    """What is to be done later in the running loop, unless `stop` comes first."""

    def __init__(self) -> None:
        self._handles: set[asyncio.TimerHandle] = set()

    def later(self, seconds: float, action: Callable[..., object], *args: object) -> None:
        """Call `action(*args)` after so many seconds."""

        def act() -> None:
            self._handles.discard(handle)
            action(*args)

        handle = asyncio.get_running_loop().call_later(seconds, act)
        self._handles.add(handle)

    def stop(self) -> None:
        """Nothing of it is done."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
