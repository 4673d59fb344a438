"""Sends ``reqCurrentTime`` for the program and for our probe, at least ``probe_apart`` seconds apart.

There are two reasons for this time: a real TWS may not answer the second of two requests (ib_insync issue 604), and the
library forgets the first of two pending requests. ``reqCurrentTime`` is sent before other waiting requests.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from datetime import datetime

from ibkr.core.stats import KEPT_ROUND_TRIPS
from ibkr.session.library import Library
from ibkr.session.sender import Sender, SendOptions

REQUEST_KEY = "currentTime"
"""The library's key for the request."""
_REQUEST = "49\0" + "1\0"
"""The message as the library sends it.

It is sent directly, because the library's own calls take more time than sending the message.
"""


class CurrentTime:
    """Sends the requests of all sessions.

    Attributes:
        answers: The number of answers.
        round_trips: Seconds from sending to the answer, for the last requests.
    """

    def __init__(self, library: Library, sender: Sender, interval: float) -> None:
        self._client, self._wrapper = library.client, library.wrapper
        self._sender = sender
        self._interval = interval
        self.answers = 0
        self.round_trips: deque[float] = deque(maxlen=KEPT_ROUND_TRIPS)
        self._answer_from: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sent_at = -math.inf
        self._is_answered = True
        self._probe_timer: asyncio.TimerHandle | None = None
        self._unanswered = 0
        self._barriers: list[tuple[int, Callable[[], None]]] = []
        """Functions to call, each with the number of answers to wait for."""

    def begin(self) -> None:
        """Begin a session in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._sent_at = -math.inf
        self._is_answered = True
        self._unanswered = 0

    def end(self) -> None:
        """End the session."""
        self._barriers.clear()
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._probe_timer is not None:
            self._probe_timer.cancel()
            self._probe_timer = None

    def answered(self) -> None:
        """Record an answer of the gateway."""
        self._is_answered = True
        self._unanswered = max(0, self._unanswered - 1)
        self._barriers = [(left - 1, call) for left, call in self._barriers]
        while self._barriers and self._barriers[0][0] <= 0:
            self._barriers.pop(0)[1]()
        if self._answer_from is not None and self._loop is not None:
            self.answers += 1
            self.round_trips.append(self._loop.time() - self._answer_from)
            self._answer_from = None

    def probe(self) -> None:
        """Make the gateway send something."""
        assert self._loop is not None, "no session has begun"
        wait = self._sent_at + self._interval - self._loop.time()
        if wait <= 0:
            self._send()
        elif self._is_answered and self._probe_timer is None:
            self._probe_timer = self._loop.call_later(wait, self._send)
        # Otherwise a request was already sent, or waits for its time. The answer to this request is enough.

    def request(self) -> asyncio.Future[datetime]:
        """Do the same as the library's ``reqCurrentTimeAsync``. All pending callers get the same answer."""
        if not self._client.isConnected():
            raise ConnectionError("Not connected")
        future = self._wrapper.futures.get(REQUEST_KEY)
        if future is None or future.done():
            future = self._wrapper.startReq(REQUEST_KEY)
        self._client.reqCurrentTime()
        return asyncio.shield(future)

    def call_when_reached(self, call: Callable[[], None]) -> None:
        """Call this function when the gateway, which answers in order, has read everything that was sent until now.

        The answer to an earlier request would not show this. If the session ends first, nothing is called.
        """
        self._send()
        self._barriers.append((self._unanswered, call))

    def request_current_time(self) -> None:
        """Do the same as the client's ``reqCurrentTime``."""
        if self._client.isConnected():
            self.probe()
        else:
            self._client.call_library("reqCurrentTime", {})  # raises ConnectionError

    def _send(self) -> None:
        assert self._loop is not None, "no session has begun"
        self._stop_timer()
        self._sender.send(_REQUEST, SendOptions(self._message_sent))  # raises before the session is open
        self._sent_at = self._loop.time()
        self._is_answered = False
        self._unanswered += 1

    def _message_sent(self) -> None:
        assert self._loop is not None, "no session has begun"
        self._answer_from = self._loop.time()
