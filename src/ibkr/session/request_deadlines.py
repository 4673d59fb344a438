"""Deadlines for one-time requests. Without them, the client library would wait for an answer without limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ibkr.core.activity import AnswerTime, RecentRecords
from ibkr.core.deadline_settings import Deadlines, OneShotRequest, one_shot_request, request_named
from ibkr.session.library import Answer, Library
from ibkr.session.library.ib import HAS_OWN_TIMEOUT

if TYPE_CHECKING:
    from ib_async import Contract

_LATE_TIMER = 0.25
"""Seconds. If a timer is later than this, the event loop was blocked, and the answer may have arrived unread."""
_CURE = (
    "the gateway gave no reason. Try again. If that does not help, check status.reason, or allow more time in"
    " [ibkr.deadlines] ({})"
)


class _PendingRequest(NamedTuple):
    """A request that was sent, and how many seconds the gateway has to answer it."""

    key: Hashable
    future: Answer
    request: OneShotRequest
    seconds: float


class RequestDeadlines:
    """Ends requests that the gateway does not answer in time.

    Usually, the library first begins a request and then sends its message. So a message belongs to the request that was
    begun before. For the first answer of a stream, ``stream_sent`` is called, too: the stream's message may be sent
    before the library begins the request, or again with a new id.

    Args:
        library: The client library's objects.
        deadlines: Seconds for each kind of request.
        give_up: Removes an unanswered request from the gateway and from the library's maps.
    """

    def __init__(
        self, library: Library, deadlines: Deadlines, give_up: Callable[[Hashable, OneShotRequest, bool], None]
    ) -> None:
        self._wrapper = library.wrapper
        self._deadlines = deadlines
        self._give_up = give_up
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started: tuple[Hashable, Answer] | None = None
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}
        self._errors: dict[Hashable, TimeoutError] = {}
        self._sent_at: dict[Hashable, tuple[str, float]] = {}
        # Keys of late requests that have no id. Their answers have no id either, so an answer does not show to which
        # request it belongs.
        self._late: set[Hashable] = set()
        self._had_late_answer: set[Hashable] = set()
        self.answer_times = RecentRecords(AnswerTime)

    def begin(self) -> None:
        """Begin a session in the running loop."""
        self._loop = asyncio.get_running_loop()

    def request_started(self, key: Hashable, future: Answer) -> None:
        """Note that the library has begun a request. Its message follows."""
        self._started = None if HAS_OWN_TIMEOUT.get() else (key, future)

    def message_sending(self, message: str) -> Callable[[], None] | None:
        """Return what to call when this message was sent, or ``None`` if the message needs no deadline."""
        if self._started is None:
            return None
        (key, future), self._started = self._started, None
        is_of_it = not isinstance(key, int) or str(key) in message.split("\0", 4)[1:4]
        request = one_shot_request(message)
        seconds = getattr(self._deadlines, request.kind)
        if not is_of_it or seconds is None or self._wrapper.futures.get(key) is not future:
            return None
        return partial(self._message_sent, _PendingRequest(key, future, request, seconds))

    def stream_sent(self, key: Hashable, name: str) -> None:
        """The request of a stream was sent: if a caller awaits the first answer, set a deadline for it."""
        future, request = self._wrapper.futures.get(key), request_named(name)
        seconds = getattr(self._deadlines, request.kind)
        if future is not None and seconds is not None:
            self._message_sent(_PendingRequest(key, future, request, seconds))

    def request_ended(self, key: Hashable, *, is_answer: bool) -> None:
        """Stop the deadline of a request that has ended, with or without an answer."""
        timer, left = self._timers.pop(key, None), self._sent_at.pop(key, None)
        self._had_late_answer.discard(key)
        if timer is not None:
            timer.cancel()
        if is_answer and left is not None and self._loop is not None:
            name, at = left
            self.answer_times.note(datetime.now(UTC), name, self._loop.time() - at)

    def is_late_answer(self, key: Hashable) -> bool:
        """Whether this answer belongs to an earlier request that was not answered in time. The next answer is used.

        If the earlier request is never answered, the next request times out, too. After that, no answer is ignored.
        """
        if key not in self._late:
            return False
        self._late.discard(key)
        if key not in self._timers:  # nobody waits, or only start-up, which checks its answers itself
            return False
        self._had_late_answer.add(key)
        return True

    def session_ended(self) -> None:
        """Stop all timers, because the session is over. The callers get another error."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._sent_at.clear()
        self._late.clear()
        self._had_late_answer.clear()
        self._started = None

    def take_error(self, key: Hashable) -> TimeoutError | None:
        """The error of a request that the library has ended without raising this error."""
        return self._errors.pop(key, None)

    def _message_sent(self, pending: _PendingRequest) -> None:
        assert self._loop is not None, "no session has begun"
        if self._wrapper.futures.get(pending.key) is pending.future:
            self.request_ended(pending.key, is_answer=False)
            self._sent_at[pending.key] = pending.request.name, self._loop.time()
            self._start_timer(pending.seconds, pending)

    def _start_timer(self, seconds: float, pending: _PendingRequest) -> None:
        assert self._loop is not None, "no session has begun"
        due = self._loop.time() + seconds
        self._timers[pending.key] = self._loop.call_at(due, self._expired, due, pending)

    def _expired(self, due: float, pending: _PendingRequest) -> None:
        key, future, request = pending.key, pending.future, pending.request
        del self._timers[key]
        if self._wrapper.futures.get(key) is not future:
            self._sent_at.pop(key, None)
            return
        if asyncio.get_running_loop().time() - due > _LATE_TIMER:
            self._start_timer(_LATE_TIMER, pending)
            return
        is_awaited = not future.done()
        self._sent_at.pop(key, None)
        if not isinstance(key, int) and key not in self._had_late_answer:
            self._late.add(key)
        self._had_late_answer.discard(key)
        if is_awaited:
            contract = self._wrapper.contracts.get(key) if isinstance(key, int) else None
            error = TimeoutError(
                f"{request.name}{_contract_text(contract)} was not answered within {pending.seconds:g} s:"
                f" {_CURE.format(request.kind)}"
            )
            if request.name == "reqHistoricalData" and hasattr(self._wrapper.results.get(key), "reqId"):
                self._errors[key] = error  # the request fills a list of bars: the library catches the error
            future.set_exception(error)
            future.exception()  # mark the error as retrieved: maybe nobody awaits the future
        self._give_up(key, request, is_awaited)


def _contract_text(contract: Contract | None) -> str:
    if contract is None:
        return ""
    name = contract.localSymbol or contract.symbol or f"contract {contract.conId}"
    return f" for {' '.join(filter(None, (name, contract.secType, contract.exchange)))}"
