"""When messages leave, and what becomes of those that may not leave any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from ibkr.core.urgency import Urgency, urgency_of
from ibkr.session.errors import warn_in_any_case
from ibkr.session.library.client import ClientOverrides

_START_API = "71\0"


class Limiter(Protocol):
    """Decides when a write may be done: at once, or later. If the session ends first, it calls ``drop`` instead."""

    @property
    def is_holding(self) -> bool: ...
    def begin(self) -> None: ...
    def end(self) -> None: ...
    def slow_down(self) -> None: ...
    def hurry(self) -> None: ...
    def sent(self) -> None: ...
    def send(self, write: Callable[[], bool], urgency: Urgency, drop: Callable[[], None] | None = None) -> None: ...


class Sending:
    """What goes with a message. All of it is optional.

    ``on_left`` is called when the message has been written. ``why_not`` is called when its turn has come, and says in
    words why it may not leave any more; such messages are orders. ``on_dropped`` is called if it never leaves. ``what``
    names it in the log.
    """

    __slots__ = ("on_dropped", "on_left", "what", "why_not")

    def __init__(
        self,
        on_left: Callable[[], None] | None = None,
        *,
        why_not: Callable[[], str] | None = None,
        on_dropped: Callable[[], None] | None = None,
        what: str = "",
    ) -> None:
        self.on_left, self.why_not, self.on_dropped, self.what = on_left, why_not, on_dropped, what


_PLAIN = Sending()


class Sender:
    """Sends messages through the limiter, which replaces the throttle of the client library: orders go first there."""

    def __init__(self, client: ClientOverrides, limiter: Limiter) -> None:
        self._client = client
        self._limiter = limiter
        self._sending = _PLAIN
        self._is_open = False
        self._no_orders = ""

    def begin(self) -> None:
        """A session begins in the running loop; but for its first message, nothing is sent until it is ``opened``."""
        self._is_open = False
        self._no_orders = ""
        self._limiter.begin()

    def opened(self) -> None:
        """The gateway has said which ids are free."""
        self._is_open = True

    def end(self) -> None:
        """The session is over: what was held back is not sent any more."""
        self._limiter.end()
        self._tell_throttle()

    def hurry(self) -> None:
        """The session is about to end: orders and cancels that wait leave now, for they will never be sent later."""
        self._limiter.hurry()

    def refuse_orders(self, why: str) -> None:
        """In this session no order leaves any more that waits for its turn; cancels do."""
        self._no_orders = why

    def slow_down(self) -> None:
        """The gateway says that messages come too fast."""
        self._limiter.slow_down()

    @property
    def has_transport(self) -> bool:
        """Whether bytes that are written now go anywhere."""
        return self._client.conn.can_write

    @contextmanager
    def telling(self, sending: Sending) -> Iterator[None]:
        """The message that is sent meanwhile is of this kind."""
        outer, self._sending = self._sending, sending
        try:
            yield
        finally:
            self._sending = outer

    def send(self, message: str, sending: Sending) -> None:
        """Send a message in its turn. Raises ``ConnectionError`` while none can be sent."""
        if not self._is_open:
            raise ConnectionError("Not connected: the session is not open yet")
        drop = partial(self._drop, sending, "the session has ended")
        self._limiter.send(partial(self._write_in_turn, message, sending), urgency_of(message), drop)
        if self._limiter.is_holding:  # otherwise it has left, and that was told
            self._tell_throttle()

    def send_plain(self, message: str) -> None:
        """Send what the client library has made; it belongs to the ``Sending`` of ``telling``, if there is one."""
        if message.startswith(_START_API):  # nothing can be sent before it
            self._limiter.sent()
            self._client.write(message)
        else:
            self.send(message, self._sending)

    def _write_in_turn(self, message: str, sending: Sending) -> bool:
        """Write a message whose turn has come, unless the situation does not allow it any more."""
        why_not = "" if self.has_transport else "the connection has ended"
        if sending.why_not is not None:
            why_not = why_not or self._no_orders or sending.why_not()
        if why_not:
            self._drop(sending, why_not)
            return False
        self._client.write(message)
        if sending.on_left is not None:
            sending.on_left()
        self._tell_throttle()
        return True

    def _drop(self, sending: Sending, why: str) -> None:
        """A message will never be sent: say so where it matters."""
        if sending.what:
            warn_in_any_case(f"The {sending.what} was not sent and will not be: {why}")
        if sending.on_dropped is not None:
            sending.on_dropped()

    def _tell_throttle(self) -> None:
        self._client.tell_throttle(self._limiter.is_holding)
