"""Records what the program subscribes to and cancels, at the client, below the library's ``IB``.

Every way to request a subscription finally calls one of the client's request methods.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy

from ibkr.core.events import Key
from ibkr.session.library import Arguments, Library
from ibkr.session.library.ib import HAS_OWN_TIMEOUT
from ibkr.session.subscriptions.kinds import BY_CANCEL, BY_REQUEST
from ibkr.session.subscriptions.registry import SubscriptionRegistry
from ibkr.session.subscriptions.subscription import Subscription

_LIVE = 1
"""The type of market data that a gateway sends by default."""
_UNKNOWN = 0
_REQUESTED_ON_CONNECT: ContextVar[Counter[Hashable] | None] = ContextVar("requested_on_connect", default=None)


class SubscriptionRequests:
    """Handles the client's request methods.

    ``request_stream`` and ``cancel_stream`` are called to request or cancel something while there is a session.

    Attributes:
        is_wanted: Whether a connection is requested, so that requests are recorded.
        ids_are_known: Whether a gateway has sent the next valid id before.
        is_open: Whether the gateway has sent the next valid id in this session.
    """

    def __init__(
        self,
        library: Library,
        registry: SubscriptionRegistry,
        request_stream: Callable[[Key], None],
        cancel_stream: Callable[[Key, Subscription], None],
        on_changed: Callable[[], None],
    ) -> None:
        self._client, self._wrapper = library.client, library.wrapper
        self._registry = registry
        self._request_stream, self._cancel_stream, self._on_changed = request_stream, cancel_stream, on_changed
        self.is_wanted = False
        self.ids_are_known = False
        self.is_open = False
        self._is_starting_up = False
        self._in_connected_event = False
        self._keys_of_start_up: dict[tuple[str, str], Key] = {}
        self._data_type = self._type_at_gateway = _LIVE

    def request(self, method: str, arguments: Arguments) -> None:
        """Handle the call of a client method that requests a stream, or something that is requested in the same way."""
        kind = BY_REQUEST[method]
        key, own = kind.split(arguments)
        copies = {name: copy(value) for name, value in own.items()}
        sub = Subscription(kind, kind.library_map.find(self._wrapper, key), copies, self._data_type)
        if self._is_starting_up:
            self._start_up_request(key, sub)
        elif not kind.is_stream(own):
            self._one_time_request(key, sub)
        else:
            self._add(key, sub)

    def may_repeat(self, key: Key) -> bool:
        """Whether the stream was requested before this session, and not repeated. It counts as repeated from now on."""
        sub = self._registry.active.get(key)
        may_repeat = sub is not None and sub.may_be_repeated
        if sub is not None:
            sub.may_be_repeated = False
        return may_repeat

    def cancel_request(self, method: str, arguments: Arguments) -> None:
        """Handle the call of a client method that cancels a stream."""
        kind = BY_CANCEL[method]
        key, own = kind.split(arguments)
        key = self._registry.current_key(key)
        if key not in self._registry.active:
            self._client.call_library(method, arguments)
            if key in self._wrapper.futures and self._wrapper.futures[key].done():
                self._wrapper.forget(key)  # the caller has stopped waiting
        elif self._registry.tracker.is_asked(key):
            self._registry.forget(key)
            self._client.call_library(method, kind.joined(key, own))
            self._on_changed()
        else:
            self._registry.forget_completely(key)
            self._on_changed()

    def data_type_requested(self, data_type: int) -> None:
        """Handle a call of the client's ``reqMarketDataType``."""
        self._data_type = data_type
        if not self._has_no_session():
            self._set_data_type(data_type)

    def session_opened(self) -> None:
        """Begin to request from the gateway, which has sent the next valid id. Start-up follows."""
        self.ids_are_known = self.is_open = True
        self._registry.allow_repeats()
        self._keys_of_start_up.clear()
        self._type_at_gateway = _LIVE

    @contextmanager
    def start_up(self) -> Iterator[None]:
        """Do not record requests in the ``with`` block, because start-up sends them in every session."""
        self._is_starting_up = True
        try:
            yield
        finally:
            self._is_starting_up = False

    @contextmanager
    def connected_event(self) -> Iterator[None]:
        """In the ``with`` block, requests of handlers and of their tasks replace the same requests of the last session.

        Two handlers may make the same request, each with its own list. In the next session, the first request replaces
        the first request of this session, and the second replaces the second.
        """
        token, self._in_connected_event = _REQUESTED_ON_CONNECT.set(Counter()), True
        try:
            yield
        finally:
            self._in_connected_event = False
            _REQUESTED_ON_CONNECT.reset(token)

    def send(self, key: Key, sub: Subscription, arguments: Arguments) -> None:
        """Request the subscription from the gateway."""
        self._client.call_library(sub.kind.request, sub.kind.joined(key, arguments))

    def cancel(self, key: Key, sub: Subscription) -> None:
        """Cancel the subscription at the gateway."""
        kind = sub.kind
        if kind.cancel:
            self._client.call_library(kind.cancel, kind.joined(key, kind.cancel_arguments(sub.arguments)))

    @property
    def data_type_differs(self) -> bool:
        """Whether the gateway does not know yet which type of market data the program has set."""
        return self._data_type != self._type_at_gateway

    def forget_data_type(self) -> None:
        """The gateway may have forgotten the type of market data."""
        if self._type_at_gateway != _LIVE:
            self._type_at_gateway = _UNKNOWN

    def use_data_type(self, sub: Subscription | None = None) -> None:
        """Set the type of market data for the next request: the type of ``sub``, or without ``sub`` the last type."""
        wanted = self._data_type if sub is None else sub.data_type
        if wanted != self._type_at_gateway:
            self._set_data_type(wanted)

    def release(self) -> None:
        """Stop recording requests: a connection is no longer requested."""
        self.is_wanted = False
        self._data_type = _LIVE
        self._keys_of_start_up.clear()

    def _add(self, key: Key, sub: Subscription) -> None:
        """Add a subscription.

        First end the subscription that it replaces: later, the library could not find and cancel the replaced one.
        """
        asked = _REQUESTED_ON_CONNECT.get()
        # Use the variable only in the event itself and in tasks. A scheduled callback inherits the variable, too, but
        # may run any code.
        if asked is not None and (self._in_connected_event or asyncio.current_task() is not None):
            what = sub.kind.name, repr(sub.arguments)
            asked[what] += 1
            sub.requested_on_connect = *what, asked[what]
        replaced = self._registry.replaced_by(sub)
        if replaced is not None and replaced != key:
            self._replace(replaced, key)
        sub.has_own_timeout = HAS_OWN_TIMEOUT.get()
        sub.is_early = not self.ids_are_known
        self._registry.add(key, sub)
        if self._has_no_session():
            self._complete_now(key, sub)
            sub.kind.library_map.insert(self._wrapper, key, sub)
            return
        try:
            self._request_stream(key)
        except Exception:  # the caller gets the error, and there is no subscription
            self._registry.forget_completely(key)
            raise

    def _start_up_request(self, key: Key, sub: Subscription) -> None:
        """Handle start-up's own request, which also serves the same request of the program.

        When start-up repeats its request on a live socket, after 1101, it replaces the stream with the earlier id.
        """
        what = sub.kind.name, repr(sub.arguments)
        former = self._keys_of_start_up.get(what)
        if former is not None and former not in self._wrapper.futures:
            self.cancel(former, sub)
        self._keys_of_start_up[what] = key
        for replaced_by in (self._registry.replaced_by(sub), key):
            if replaced_by in self._registry.active and self._registry.active[replaced_by].arguments == sub.arguments:
                self._replace(replaced_by, key)
        self.send(key, sub, sub.arguments)

    def _one_time_request(self, key: Key, sub: Subscription) -> None:
        """Send a snapshot, or a request that ends the subscription of its kind."""
        was_held = self._registry.forget(key) is not None
        if was_held:
            self._on_changed()
        if was_held and self._has_no_session():
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
            standing = self._registry.replaced_by(sub)
            # The snapshot uses the Ticker of a stream. A later cancel of that Ticker must cancel the stream.
            if standing is not None:
                sub.kind.library_map.insert(self._wrapper, standing, self._registry.active[standing])

    def _replace(self, key: Key, successor: Key) -> None:
        """End this subscription, because ``successor`` replaces it.

        A caller that waits for the first answer of the replaced subscription gets the first answer of its successor.
        """
        sub, futures, results = self._registry.active[key], self._wrapper.futures, self._wrapper.results
        if key in futures and key != successor:
            answer = futures.get(successor)
            if answer is None:
                futures[successor], results[successor] = futures.pop(key), results.pop(key, [])
            else:
                answer.add_done_callback(lambda _: self._wrapper.end_request(key))
        if not self._registry.tracker.is_asked(key):
            self._registry.forget_completely(key)
            return
        self._cancel_stream(key, sub)
        self._registry.forget(key)
        sub.kind.library_map.remove(self._wrapper, key, sub)

    def _complete_now(self, key: Key, sub: Subscription) -> None:
        """Give the object to a caller that awaits the first answer. The object gets data when there is a session."""
        self._wrapper.end_request(sub.kind.awaited or key, sub.obj)
        self._wrapper.results.pop(key, None)

    def _has_no_session(self) -> bool:
        """Whether a connection is requested, but there is no session."""
        return self.is_wanted and not (self.is_open and self._client.isReady())

    def _set_data_type(self, data_type: int) -> None:
        self._client.call_library("reqMarketDataType", {"marketDataType": data_type})
        self._type_at_gateway = data_type
