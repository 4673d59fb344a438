"""Uvicorn's HTTP protocol with limits for visitors that are slow, silent or too many.

Uvicorn's own ``limit_concurrency`` does not cut idle connections: it refuses new connections, also of health checks.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_MAX_CHECK_INTERVAL = 1.0
_SEND_BUFFER = 64 * 1024
"""Bytes that the operating system buffers for a visitor that does not read. The default would be megabytes."""


class LimitedHttpProtocol(H11Protocol):
    """Allows ``max_connections`` connections. A new connection replaces the connection that was idle for longest.

    A connection is cut if it does not send a complete request within ``request_time`` seconds, or does not read its
    answer for the same time.
    """

    max_connections: ClassVar[int]
    request_time: ClassVar[float]
    idle: ClassVar[dict[LimitedHttpProtocol, None]]
    """Connections of the site, in the order in which they became idle. Some may have become busy since."""
    _check_timer: asyncio.TimerHandle | None = None
    _idle_at = 0.0
    _paused_at: float | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        # Without TCP_NODELAY, the second part of an answer waits 40 ms for the acknowledgement of the first part.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._set_idle()
        if len(self.connections) > self.max_connections:
            self._make_room()
        if not transport.is_closing():
            self._schedule_check()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._check_timer is not None:
            self._check_timer.cancel()
        self.idle.pop(self, None)
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:  # uvicorn does not cancel it when we cut the connection
            self.timeout_keep_alive_task.cancel()

    def on_response_complete(self) -> None:
        self._set_idle()
        super().on_response_complete()

    def _set_idle(self) -> None:
        self._idle_at = self.loop.time()
        self.idle.pop(self, None)
        self.idle[self] = None

    def pause_writing(self) -> None:
        self._paused_at = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._paused_at = None
        super().resume_writing()

    def cut(self) -> None:
        """End the connection now and release its place. ``close()`` would wait until the visitor has read all."""
        self.connections.discard(self)
        self.idle.pop(self, None)
        self.transport.abort()

    def waiting_since(self, *, include_body: bool = False) -> float | None:
        """Return since when we wait for the visitor: for a request, or until it reads its answer.

        Args:
            include_body: Also count the wait for the rest of a request whose head has arrived. The application has
                its own timeout for that.

        Returns:
            A loop time; ``None`` while we prepare or stream an answer.
        """
        cycle: Any = self.cycle  # None before the first request, although its type does not allow None
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering and not (include_body and self.conn.their_state is h11.SEND_BODY):
            return self._paused_at
        return self._idle_at if self._paused_at is None else self._paused_at

    def _make_room(self) -> None:
        """Cut the connection that was idle for longest, or this connection if all are busy."""
        for each in list(self.idle):
            if each is self:
                continue
            if each.waiting_since(include_body=True) is not None:
                each.cut()
                return
            del self.idle[each]  # it is busy now, and is added again when its answer is complete
        for other in tuple(self.connections):
            if (
                isinstance(other, LimitedHttpProtocol)
                and other is not self
                and other.waiting_since(include_body=True) is not None
            ):
                other.cut()
                return
        self.cut()

    def _schedule_check(self) -> None:
        self._check_timer = self.loop.call_later(min(_MAX_CHECK_INTERVAL, self.request_time / 4), self._check)

    def _check(self) -> None:
        since = self.waiting_since()
        if since is not None and self.loop.time() - since > self.request_time:
            self.cut()
        else:
            self._schedule_check()


def limited_http_protocol(connections: int, seconds: float) -> type[LimitedHttpProtocol]:
    """Return a protocol class with these limits, for ``uvicorn.Config(http=...)``."""

    class Limited(LimitedHttpProtocol):
        max_connections = connections
        request_time = seconds
        idle = {}  # noqa: RUF012 - shared by all connections of one site

    return Limited
