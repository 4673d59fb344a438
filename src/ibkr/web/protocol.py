"""Uvicorn's HTTP, for visitors that are slow, silent or too many: none of them is waited for."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_LOOK_AT_MOST_EVERY = 1.0


def guarded_protocol(connections: int, request_time: float) -> type[H11Protocol]:
    """The class for ``uvicorn.Config(http=...)``.

    At most so many ``connections`` at a time; one that brings no whole request head within ``request_time`` seconds,
    or does not take what was sent to it, is cut.
    """

    look_every = min(_LOOK_AT_MOST_EVERY, request_time / 4)

    class GuardedProtocol(H11Protocol):
        _look: asyncio.TimerHandle | None = None
        _waiting_since = 0.0
        _paused_since: float | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._waiting_since = self.loop.time()
            if len(self.connections) > connections:
                transport.abort()
            else:
                self._look = self.loop.call_later(look_every, self._look_at_it)

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

        def _look_at_it(self) -> None:
            now = self.loop.time()
            cycle: Any = self.cycle  # None before the first request, whatever its type says
            is_answering = cycle is not None and not cycle.response_complete
            since = self._paused_since if is_answering or self._paused_since is not None else self._waiting_since
            if since is not None and now - since > request_time:
                self.transport.abort()  # close() would wait for what it never takes
            else:
                self._look = self.loop.call_later(look_every, self._look_at_it)

    return GuardedProtocol
