"""Sends messages through the rate limiter, and handles orders that may no longer be sent."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from ibkr.core.priority import Priority, priority_of
from ibkr.session.error_log import warn_always
from ibkr.session.library.client import ClientOverrides

_START_API = "71\0"
_NO_TRANSPORT = "the connection has ended"


class RateLimiter(Protocol):
    """Decides whether a write is done now or later. If it is refused or the session ends, it calls ``drop`` instead."""

    @property
    def has_waiting(self) -> bool: ...
    def begin(self) -> None: ...
    def end(self) -> None: ...
    def slow_down(self) -> None: ...
    def send_orders_now(self) -> None: ...
    def count_sent(self) -> None: ...
    def send(
        self,
        write: Callable[[], object],
        urgency: Priority,
        drop: Callable[[str], None] | None = None,
        group: Hashable = None,
        refusal: Callable[[], str] | None = None,
    ) -> None: ...


class SendOptions:
    """Options of a message. All are optional.

    Args:
        on_sent: Called when the message was written.
        refusal: Called right before the message is written. Returns why it may no longer be sent, or an empty text.
            Used for orders.
        on_dropped: Called if the message is never sent.
        label: Returns the message's name for the log.
        group: Waiting messages of the same group are sent together. If one is refused, none of them is sent.
    """

    __slots__ = ("group", "label", "on_dropped", "on_sent", "refusal")

    def __init__(
        self,
        on_sent: Callable[[], None] | None = None,
        *,
        refusal: Callable[[], str] | None = None,
        on_dropped: Callable[[], None] | None = None,
        label: Callable[[], str] | None = None,
        group: Hashable = None,
    ) -> None:
        self.on_sent, self.refusal, self.on_dropped, self.label = on_sent, refusal, on_dropped, label
        self.group = group

    def also_on_sent(self, on_sent: Callable[[], None]) -> SendOptions:
        """The same options with one more callback for when the message was sent."""

        def left() -> None:
            if self.on_sent is not None:
                self.on_sent()
            on_sent()

        return SendOptions(left, refusal=self.refusal, on_dropped=self.on_dropped, label=self.label, group=self.group)


_NO_OPTIONS = SendOptions()


class Sender:
    """Sends messages through the rate limiter. Orders are sent first. The client library's throttle is not used."""

    def __init__(self, client: ClientOverrides, limiter: RateLimiter) -> None:
        self._client = client
        self._limiter = limiter
        self._options = _NO_OPTIONS
        self._is_open = False
        self._orders_refused = ""

    def begin(self) -> None:
        """Begin a session in the running loop. Until ``session_opened``, only the first message is sent."""
        self._is_open = False
        self._orders_refused = ""
        self._limiter.begin()

    def session_opened(self) -> None:
        """Allow every message from now on, because the gateway has sent the next valid id."""
        self._is_open = True

    def end(self) -> None:
        """The session is over: drop the waiting messages."""
        self._limiter.end()
        self._update_throttle()

    def send_orders_now(self) -> None:
        """The session is about to end: send waiting orders and cancels now, because they are never sent later."""
        self._limiter.send_orders_now()

    def refuse_orders(self, why: str) -> None:
        """Drop this session's waiting orders at the time when they would be sent. Cancels are still sent."""
        self._orders_refused = why

    def slow_down(self) -> None:
        """Reduce the rate, because the gateway reports that messages arrive too fast."""
        self._limiter.slow_down()

    @property
    def has_transport(self) -> bool:
        """Whether written bytes can still reach the gateway."""
        return self._client.conn.can_write

    @contextmanager
    def sending_as(self, options: SendOptions) -> Iterator[None]:
        """Use these options for messages that are sent inside the ``with`` block."""
        outer, self._options = self._options, options
        try:
            yield
        finally:
            self._options = outer

    def send(self, message: str, options: SendOptions) -> None:
        """Send a message when the rate allows it. Raises ``ConnectionError`` while nothing can be sent."""
        if not self._is_open:
            raise ConnectionError("Not connected: the session is not open yet")
        self._limiter.send(
            partial(self._write, message, options),
            priority_of(message),
            partial(self._drop, options),
            options.group,
            partial(self._refusal, options),
        )
        if self._limiter.has_waiting:  # otherwise the message was sent already
            self._update_throttle()

    def send_from_library(self, message: str, on_sent: Callable[[], None] | None = None) -> None:
        """Send a message that the client library has made, with the options of ``sending_as`` if there are any.

        ``on_sent`` is called, too, when the message was sent.
        """
        if message.startswith(_START_API):  # this message must be the first one
            self._limiter.count_sent()
            self._client.write(message)
        else:
            self.send(message, self._options if on_sent is None else self._options.also_on_sent(on_sent))

    def _refusal(self, options: SendOptions) -> str:
        """Why a message that is due may no longer be sent, or an empty text."""
        refusal = "" if self.has_transport else _NO_TRANSPORT
        if options.refusal is not None:
            refusal = refusal or self._orders_refused or options.refusal()
        return refusal

    def _write(self, message: str, options: SendOptions) -> None:
        if not self.has_transport:  # it has ended while another message of the group was written
            self._drop(options, _NO_TRANSPORT)
            return
        self._client.write(message)
        if options.on_sent is not None:
            options.on_sent()
        self._update_throttle()

    def _drop(self, options: SendOptions, why: str) -> None:
        """Report a message that will never be sent."""
        if options.label is not None:
            warn_always(f"The {options.label()} was not sent and will not be sent: {why}")
        if options.on_dropped is not None:
            options.on_dropped()

    def _update_throttle(self) -> None:
        self._client.emit_throttle(self._limiter.has_waiting)
