"""The pulse of an event loop: notices that the loop was blocked, and that the machine slept.

One timer for each loop, however many connectors live in it.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import Protocol

PERIOD = 0.4
"""Seconds from beat to beat. To wake a process that sleeps is most of what an idle connector costs."""

_BLOCKED = 0.5
"""No blockage of so many seconds is missed; some that are shorter are noticed, too."""
_WORTH_TELLING = 1.0


class Listener(Protocol):
    """Is told of beats that were not as they should be."""

    def blocked(self, seconds: float) -> None:
        """The loop had no turn for so long, to within half a period."""

    def jumped(self, seconds: float) -> None:
        """The wall clock went so far ahead of the monotonic one."""


_pulses: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Pulse] = weakref.WeakKeyDictionary()


def pulse_of(loop: asyncio.AbstractEventLoop) -> Pulse:
    """The loop's pulse; it beats while somebody listens."""
    if loop not in _pulses:
        _pulses[loop] = Pulse(loop)
    return _pulses[loop]


class Pulse:
    """Beats while it has listeners; ``wall`` is the wall clock at the last beat, in seconds since the epoch."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # A strong reference would keep the loop in the dictionary for ever.
        self._loop = weakref.ref(loop)
        self._listeners: dict[Listener, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._at = self.wall = 0.0

    def add(self, listener: Listener) -> None:
        """Tell this one too."""
        self._listeners[listener] = None
        if self._timer is None:
            self._beat()

    def remove(self, listener: Listener) -> None:
        """Tell it no more."""
        self._listeners.pop(listener, None)
        if not self._listeners and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        loop = self._loop()
        assert loop is not None, "a timer of the loop has fired"
        self._at, self.wall = loop.time(), time.time()
        self._timer = loop.call_at(self._at + PERIOD, self._look)

    def _look(self) -> None:
        loop = self._loop()
        assert loop is not None, "a timer of the loop has fired"
        passed, by_wall = loop.time() - self._at, time.time() - self.wall
        self._beat()
        if passed < _BLOCKED and by_wall - passed <= _WORTH_TELLING:
            return
        for listener in list(self._listeners):
            if passed >= _BLOCKED:
                listener.blocked(passed - PERIOD / 2)  # the blockage began somewhere between two beats
            if by_wall - passed > _WORTH_TELLING:
                listener.jumped(by_wall - passed)
