"""Uvicorn's HTTP, for visitors that are slow, silent or too many: none of them is waited for."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

_LOOK_AT_MOST_EVERY = 1.0


class GuardedProtocol(H11Protocol):
    """At most ``most_connections`` at a time.

    One that brings no whole request head within ``request_time`` seconds, or does not take what was sent to it, is cut.
    """

    most_connections: ClassVar[int]
    request_time: ClassVar[float]
    _look: asyncio.TimerHandle | None = None
    _waiting_since = 0.0
    _paused_since: float | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._waiting_since = self.loop.time()
        if len(self.connections) > self.most_connections:
            transport.abort()
        else:
            self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._waiting_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._paused_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused_since = None
        super().resume_writing()

    def _look_later(self) -> None:
        self._look = self.loop.call_later(min(_LOOK_AT_MOST_EVERY, self.request_time / 4), self._look_at_it)

    def _look_at_it(self) -> None:
        now = self.loop.time()
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        is_answering = cycle is not None and not cycle.response_complete
        since = self._paused_since if is_answering or self._paused_since is not None else self._waiting_since
        if since is not None and now - since > self.request_time:
            self.transport.abort()  # close() would wait for what it never takes
        else:
            self._look_later()


def guarded_protocol(connections: int, patience: float) -> type[GuardedProtocol]:
    """The class for ``uvicorn.Config(http=...)``, with these limits."""

    class Guarded(GuardedProtocol):
        most_connections = connections
        request_time = patience

    return Guarded
