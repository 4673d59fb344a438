"""What the program asks for and cancels, recorded at the client, below the library's ``IB``.

Whichever way a subscription is asked for, one of the client's request methods is called in the end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy

from ibkr.core.facts import Key
from ibkr.session.library import Arguments, Library
from ibkr.session.subscriptions.kinds import BY_CANCEL, BY_REQUEST
from ibkr.session.subscriptions.registry import Registry
from ibkr.session.subscriptions.subscription import Subscription

_LIVE = 1
"""The type of market data that a gateway sends until it is asked for another."""
_UNKNOWN = 0
_ASKED_ON_CONNECT: ContextVar[Counter[Hashable] | None] = ContextVar("asked_on_connect", default=None)


class Requests:
    """Takes what the program asks for at the client. ``ask`` and ``end`` are called for what has a session to go to.

    ``is_wanted``: a session is there or on its way, so that what is asked for is recorded. ``ids_are_known``: a gateway
    has said which ids are free; ``is_open``: that of this session has.
    """

    def __init__(
        self,
        library: Library,
        registry: Registry,
        ask: Callable[[Key], None],
        end: Callable[[Key, Subscription], None],
        on_moved: Callable[[], None],
    ) -> None:
        self._client, self._wrapper = library.client, library.wrapper
        self._registry = registry
        self._ask, self._end, self._on_moved = ask, end, on_moved
        self.is_wanted = False
        self.ids_are_known = False
        self.is_open = False
        self._is_starting_up = False
        self._is_announcing = False
        self._asked_by_start_up: dict[tuple[str, str], Key] = {}
        self._data_type = self._type_at_gateway = _LIVE

    def request(self, method: str, arguments: Arguments) -> None:
        """The client's method was called: a stream, or something that is asked for in the same way."""
        kind = BY_REQUEST[method]
        key, own = kind.split(arguments)
        copies = {name: copy(value) for name, value in own.items()}
        sub = Subscription(kind, kind.library_map.find(self._wrapper, key), copies, self._data_type)
        if self._is_starting_up:
            self._asked_by_us(key, sub)
        elif not kind.is_stream(own):
            self._asked_once(key, sub)
        else:
            self._wanted(key, sub)

    def cancel_request(self, method: str, arguments: Arguments) -> None:
        """The client's method was called that cancels a stream."""
        kind = BY_CANCEL[method]
        key, own = kind.split(arguments)
        key = self._registry.current(key)
        if key not in self._registry.active:
            self._client.call_library(method, arguments)
        elif self._registry.ledger.is_asked(key):
            self._registry.forget(key)
            self._client.call_library(method, kind.joined(key, own))
            self._on_moved()
        else:
            self._registry.forget_fully(key)
            self._on_moved()

    def data_type_asked(self, data_type: int) -> None:
        """The client's ``reqMarketDataType`` was called."""
        self._data_type = data_type
        if not self._has_no_session():
            self._set_data_type(data_type)

    def session_opened(self) -> None:
        """A gateway has said which ids are free, and start-up follows."""
        self.ids_are_known = self.is_open = True
        self._asked_by_start_up.clear()
        self._type_at_gateway = _LIVE

    @contextmanager
    def start_up(self) -> Iterator[None]:
        """What is asked for meanwhile is asked for in each session anyway, and not recorded."""
        self._is_starting_up = True
        try:
            yield
        finally:
            self._is_starting_up = False

    @contextmanager
    def announcement(self) -> Iterator[None]:
        """What handlers ask for meanwhile, or tasks that they make, takes the place of the same in the session before.

        Two handlers may want the same, each with a list of its own: so the first of them replaces the first.
        """
        token, self._is_announcing = _ASKED_ON_CONNECT.set(Counter()), True
        try:
            yield
        finally:
            self._is_announcing = False
            _ASKED_ON_CONNECT.reset(token)

    def send(self, key: Key, sub: Subscription, arguments: Arguments) -> None:
        """Ask the gateway for it."""
        self._client.call_library(sub.kind.request, sub.kind.joined(key, arguments))

    def cancel(self, key: Key, sub: Subscription) -> None:
        """Have the gateway end it."""
        kind = sub.kind
        if kind.cancel:
            self._client.call_library(kind.cancel, kind.joined(key, kind.cancel_arguments(sub.arguments)))

    @property
    def data_type_differs(self) -> bool:
        """Whether the gateway does not know yet which type of market data the program asked for last."""
        return self._data_type != self._type_at_gateway

    def forget_data_type(self) -> None:
        """The gateway may have forgotten which type of market data it was asked for."""
        if self._type_at_gateway != _LIVE:
            self._type_at_gateway = _UNKNOWN

    def use_data_type(self, sub: Subscription | None = None) -> None:
        """What is asked for next is to have the type of this subscription; without one, that of the last request."""
        wanted = self._data_type if sub is None else sub.data_type
        if wanted != self._type_at_gateway:
            self._set_data_type(wanted)

    def release(self) -> None:
        """Nothing is wanted any more."""
        self.is_wanted = False
        self._data_type = _LIVE
        self._asked_by_start_up.clear()

    def _wanted(self, key: Key, sub: Subscription) -> None:
        """A subscription. One that it replaces is ended first: the library would not find it any more to cancel it."""
        asked = _ASKED_ON_CONNECT.get()
        # A callback that was scheduled meanwhile has inherited it, and may call anybody: of those only tasks count.
        if asked is not None and (self._is_announcing or asyncio.current_task() is not None):
            what = sub.kind.name, repr(sub.arguments)
            asked[what] += 1
            sub.asked_on_connect = *what, asked[what]
        replaced = self._registry.same(sub)
        if replaced is not None and replaced != key:
            self._drop(replaced, key)
        sub.is_early = not self.ids_are_known
        self._registry.add(key, sub)
        if self._has_no_session():
            self._answer_now(key, sub)
            sub.kind.library_map.insert(self._wrapper, key, sub)
            return
        try:
            self._ask(key)
        except Exception:  # the caller gets it, and what could not be asked for is not wanted
            self._registry.forget_fully(key)
            raise

    def _asked_by_us(self, key: Key, sub: Subscription) -> None:
        """Start-up's own: what the program had asked for itself is served by it.

        Asked anew on a live socket, after 1101, it takes the place of what streams under the former id.
        """
        what = sub.kind.name, repr(sub.arguments)
        former = self._asked_by_start_up.get(what)
        if former is not None and former not in self._wrapper.futures:
            self.cancel(former, sub)
        self._asked_by_start_up[what] = key
        for same in (self._registry.same(sub), key):
            if same in self._registry.active and self._registry.active[same].arguments == sub.arguments:
                self._drop(same, key)
        self.send(key, sub, sub.arguments)

    def _asked_once(self, key: Key, sub: Subscription) -> None:
        """A snapshot, or a request that ends its kind's subscription."""
        was_held = self._registry.forget(key)
        if was_held is not None and self._has_no_session():
            return
        try:
            if sub.kind.has_data_type:
                self.use_data_type(sub)
            self.send(key, sub, sub.arguments)
        except ConnectionError:
            sub.kind.library_map.remove(self._wrapper, key, sub)
            sub.kind.library_map.forget_object(self._wrapper, key, sub)
            raise
        finally:
            standing = self._registry.same(sub)
            if standing is not None:  # a snapshot on the Ticker of a stream: the stream is what a cancel is about
                sub.kind.library_map.insert(self._wrapper, standing, self._registry.active[standing])

    def _drop(self, key: Key, successor: Key) -> None:
        """Another takes its place. Whoever awaits its first answer is served by the other's."""
        sub, futures = self._registry.active[key], self._wrapper.futures
        if key in futures and key != successor:
            answer = futures.get(successor)
            if answer is None:
                self._wrapper.end_request(key)
            else:
                answer.add_done_callback(lambda _: self._wrapper.end_request(key))
        if not self._registry.ledger.is_asked(key):
            self._registry.forget_fully(key)
            return
        self._end(key, sub)
        self._registry.forget(key)
        sub.kind.library_map.remove(self._wrapper, key, sub)

    def _answer_now(self, key: Key, sub: Subscription) -> None:
        """Whoever awaits the first answer has the object now; it fills when there is a session."""
        self._wrapper.end_request(sub.kind.awaited or key, sub.obj)
        self._wrapper.results.pop(key, None)

    def _has_no_session(self) -> bool:
        """Whether there is none, but one is on its way."""
        return self.is_wanted and not (self.is_open and self._client.isReady())

    def _set_data_type(self, data_type: int) -> None:
        self._client.call_library("reqMarketDataType", {"marketDataType": data_type})
        self._type_at_gateway = data_type
