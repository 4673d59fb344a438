"""``reqCurrentTime``, shared by the caller's own calls and our probe, and never sent twice within ``probe_apart``.

A real TWS may leave the second of two unanswered (ib_insync issue 604), and the library forgets the first of two
requests that wait at once. It goes before other requests that wait to be sent.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from datetime import datetime

from ibkr.core.stats import KEPT_ROUND_TRIPS
from ibkr.session.library import Library
from ibkr.session.sender import Sender, Sending

KEY = "currentTime"
"""The library's key for the request."""
_REQUEST = "49\0" + "1\0"
"""What the library sends; not by way of it, because its calls and ours around them would be most of a probe's cost."""


class CurrentTime:
    """For one session after the other.

    ``apart``: seconds from one sending to the next. ``answers`` counts, ``round_trips`` has the last ones' seconds,
    from the message's leaving to its answer.
    """

    def __init__(self, library: Library, sender: Sender, apart: float) -> None:
        self._client, self._wrapper = library.client, library.wrapper
        self._sender = sender
        self._apart = apart
        self.answers = 0
        self.round_trips: deque[float] = deque(maxlen=KEPT_ROUND_TRIPS)
        self._left_at: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sent_at = -math.inf
        self._is_answered = True
        self._later: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """A session begins in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._sent_at = -math.inf
        self._is_answered = True

    def end(self) -> None:
        """The session is over."""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def answered(self) -> None:
        """The gateway has told its time."""
        self._is_answered = True
        if self._left_at is not None and self._loop is not None:
            self.answers += 1
            self.round_trips.append(self._loop.time() - self._left_at)
            self._left_at = None

    def probe(self) -> None:
        """Have the gateway send something."""
        assert self._loop is not None, "no session has begun"
        wait = self._sent_at + self._apart - self._loop.time()
        if wait <= 0:
            self._send()
        elif self._is_answered and self._later is None:
            self._later = self._loop.call_later(wait, self._send)
        # Otherwise one is on its way, or waits to be sent: its answer serves.

    def request(self) -> asyncio.Future[datetime]:
        """As the library's ``reqCurrentTimeAsync``, but all who wait at once get the one answer."""
        if not self._client.isConnected():
            raise ConnectionError("Not connected")
        future = self._wrapper.futures.get(KEY)
        if future is None or future.done():
            future = self._wrapper.startReq(KEY)
        self._client.reqCurrentTime()
        return asyncio.shield(future)

    def request_alone(self) -> None:
        """As the client's ``reqCurrentTime``."""
        if self._client.isConnected():
            self.probe()
        else:
            self._client.call_library("reqCurrentTime", {})  # raises

    def _send(self) -> None:
        assert self._loop is not None, "no session has begun"
        self._later = None
        self._sent_at = self._loop.time()
        self._is_answered = False
        self._sender.send(_REQUEST, Sending(self._left))

    def _left(self) -> None:
        assert self._loop is not None, "no session has begun"
        self._left_at = self._loop.time()
