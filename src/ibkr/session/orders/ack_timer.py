"""Detects orders that the gateway does not acknowledge in time during a session."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ibkr.core.events import Event, ProbeRequested
from ibkr.core.policy import Policy
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders


class AckTimer:
    """One timer for all sent orders. The oldest order comes first.

    An order that is not acknowledged within ``order_ack_after`` seconds is unconfirmed until it is acknowledged. The
    session is then probed, because our direction of the socket may be dead. ``on_late`` is called when an order becomes
    unconfirmed.
    """

    def __init__(
        self, sent: UnacknowledgedOrders, policy: Policy, post: Callable[[Event], None], on_late: Callable[[], None]
    ) -> None:
        self._sent, self._post, self._on_late = sent, post, on_late
        self._after, self._tolerance = policy.order_ack_after, policy.lateness_tolerance
        self._due: deque[tuple[float, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self) -> None:
        """Begin a session in the running loop."""
        self._loop = asyncio.get_running_loop()

    def expect(self, order_id: int) -> None:
        """Expect the acknowledgement of this order, which was sent."""
        loop = self._loop
        if self._after and loop is not None:
            self._due.append((loop.time() + self._after, order_id))
            if self._timer is None:
                self._timer = loop.call_at(self._due[0][0], self._look, loop)

    def end(self) -> None:
        """The session is over: expect nothing more."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if now > self._due[0][0] + self._tolerance:  # the event loop was blocked, and messages are still unread
            self._due[0] = (now + self._tolerance, self._due[0][1])
        late = []
        while self._due and self._due[0][0] <= now:
            late.append(self._due.popleft()[1])
        if self._sent.mark_overdue(late):
            self._post(ProbeRequested())
            self._on_late()
        self._timer = loop.call_at(self._due[0][0], self._look, loop) if self._due else None
