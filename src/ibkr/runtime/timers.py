"""Timers of one event loop that are due at the same moment share one of the loop's.

Many connectors in one process look after their sockets in step (``driver``), and a timer of the loop for each of them
would be a good part of what they cost while nothing happens.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TypeAlias

# The moments are held by their loop, in its timers: a loop that is given up with some left is not kept alive here.
_Moments: TypeAlias = "weakref.WeakValueDictionary[float, _Moment]"
_moments_of: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Moments] = weakref.WeakKeyDictionary()


def call_at(loop: asyncio.AbstractEventLoop, due: float, call: Callable[[], None]) -> SharedTimer:
    """As ``loop.call_at``: call it at this time of the loop's, unless what is returned is cancelled before."""
    moments = _moments_of.get(loop)
    if moments is None:
        moments = _moments_of[loop] = weakref.WeakValueDictionary()
    moment = moments.get(due)
    if moment is None:
        moment = moments[due] = _Moment(loop, due, moments)
    timer = SharedTimer(moment, call)
    moment.timers[timer] = None
    return timer


class SharedTimer:
    """What is to be called, and when."""

    __slots__ = ("_moment", "call")

    def __init__(self, moment: _Moment, call: Callable[[], None]) -> None:
        self._moment = moment
        self.call = call

    def cancel(self) -> None:
        """Do not call it; harmless when it was called."""
        self._moment.drop(self)


class _Moment:
    """One timer of the loop's, for all that is due then."""

    def __init__(self, loop: asyncio.AbstractEventLoop, due: float, moments: _Moments) -> None:
        self._due, self._moments = due, moments
        self.timers: dict[SharedTimer, None] = {}
        self._handle: asyncio.Handle = loop.call_at(due, self._come)

    def drop(self, timer: SharedTimer) -> None:
        if self.timers.pop(timer, self) is None and not self.timers:
            self._handle.cancel()
            self._retire()

    def _come(self) -> None:
        self._retire()
        # Before the calls: one that turns the loop itself, or fails, does not keep the others waiting.
        self._handle = asyncio.get_running_loop().call_soon(self._come)
        while self.timers:
            timer = next(iter(self.timers))
            del self.timers[timer]
            timer.call()
        self._handle.cancel()

    def _retire(self) -> None:
        """Nothing more comes to this one: what is set for the same time from now on has one of its own."""
        if self._moments.get(self._due) is self:
            del self._moments[self._due]
