"""What the program asks for and cancels, recorded at the client, below the library's ``IB``.

Whichever way a subscription is asked for, one of the client's request methods is called in the end.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from typing import Any

from ibkr.core.facts import Key
from ibkr.session.custody.kind import Arguments, Held, Kind
from ibkr.session.custody.kinds import KINDS
from ibkr.session.custody.shelf import Shelf

_LIVE = 1
"""The type of market data that a gateway sends until it is asked for another."""
_UNKNOWN = 0
_ASKED_ON_CONNECT: ContextVar[Counter[Hashable] | None] = ContextVar("asked_on_connect", default=None)


class Requests:
    """Stands in for the client's request methods. ``ask`` and ``end`` are called for what has a session to go to.

    ``is_wanted``: a session is there or on its way, so that what is asked for is recorded. ``ids_are_known``: a gateway
    has said which ids are free; ``is_open``: that of this session has.
    """

    def __init__(
        self,
        ib: Any,
        shelf: Shelf,
        ask: Callable[[Key], None],
        end: Callable[[Key, Held], None],
        on_moved: Callable[[], None],
    ) -> None:
        self._client, self._wrapper = ib.client, ib.wrapper
        self._shelf = shelf
        self._ask, self._end, self._on_moved = ask, end, on_moved
        self.is_wanted = False
        self.ids_are_known = False
        self.is_open = False
        self._is_starting_up = False
        self._is_announcing = False
        self._asked_by_start_up: dict[tuple[str, Arguments], Key] = {}
        self._data_type = self._type_at_gateway = _LIVE
        asked, cancelled = self._asked, self._cancelled
        self._request = {kind.name: self._replace(kind.request, asked, kind) for kind in KINDS}
        self._cancel = {kind.name: self._replace(kind.cancel, cancelled, kind) for kind in KINDS if kind.cancel}
        self._set_data_type = self._replace("reqMarketDataType", self._data_type_asked)

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

    def send(self, key: Key, held: Held, arguments: Arguments) -> None:
        """Ask the gateway for it."""
        kind = held.kind
        self._request[kind.name](*kind.joined(key, arguments))

    def cancel(self, key: Key, held: Held) -> None:
        """Have the gateway end it."""
        kind = held.kind
        if kind.cancel:
            self._cancel[kind.name](*kind.joined(key, kind.cancel_arguments(held.arguments)))

    @property
    def data_type_differs(self) -> bool:
        """Whether the gateway does not know yet which type of market data the program asked for last."""
        return self._data_type != self._type_at_gateway

    def forget_data_type(self) -> None:
        """The gateway may have forgotten which type of market data it was asked for."""
        if self._type_at_gateway != _LIVE:
            self._type_at_gateway = _UNKNOWN

    def use_data_type(self, held: Held | None = None) -> None:
        """What is asked for next is to have the type of this subscription; without one, that of the last request."""
        wanted = self._data_type if held is None else held.data_type
        if wanted != self._type_at_gateway:
            self._set_data_type(wanted)
            self._type_at_gateway = wanted

    def release(self) -> None:
        """Nothing is wanted any more."""
        self.is_wanted = False
        self._data_type = _LIVE
        self._asked_by_start_up.clear()

    def _replace(self, name: str, ours: Callable[..., None], kind: Kind | None = None) -> Callable[..., None]:
        """Put ours, which takes the kind and the arguments, in the place of this method, which is returned."""
        method: Callable[..., None] = getattr(self._client, name)
        setattr(self._client, name, _StandIn(ours, kind, getattr(method, "__func__", method)))
        return method

    def _asked(self, kind: Kind, *every: Any) -> None:
        key, arguments = kind.split(every)
        held = Held(kind, kind.home.find(self._wrapper, key), tuple(map(copy, arguments)), self._data_type)
        if self._is_starting_up:
            self._asked_by_us(key, held)
        elif not kind.stands(arguments):
            self._asked_once(key, held)
        else:
            self._wanted(key, held)

    def _wanted(self, key: Key, held: Held) -> None:
        """A subscription. One that it replaces is ended first: the library would not find it any more to cancel it."""
        asked = _ASKED_ON_CONNECT.get()
        # A callback that was scheduled meanwhile has inherited it, and may call anybody: of those only tasks count.
        if asked is not None and (self._is_announcing or asyncio.current_task() is not None):
            what = held.kind.name, repr(held.arguments)
            asked[what] += 1
            held.asked_on_connect = *what, asked[what]
        replaced = self._shelf.same(held)
        if replaced is not None and replaced != key:
            self._drop(replaced, key)
        held.is_early = not self.ids_are_known
        self._shelf.hold(key, held)
        if self._has_no_session():
            self._answer_now(key, held)
            held.kind.home.put_back(self._wrapper, key, held)
            return
        try:
            self._ask(key)
        except Exception:  # whatever it was, the caller is told, and nothing is wanted that could not be asked for
            self._shelf.clear_away(key)
            raise

    def _asked_by_us(self, key: Key, held: Held) -> None:
        """Start-up's own: what the program had asked for itself is served by it.

        Asked anew on a live socket, after 1101, it takes the place of what streams under the former id.
        """
        what = held.kind.name, held.arguments
        former = self._asked_by_start_up.get(what)
        if former is not None and former not in self._wrapper._futures:
            self.cancel(former, held)
        self._asked_by_start_up[what] = key
        for same in (self._shelf.same(held), key):
            if same in self._shelf.held and self._shelf.held[same].arguments == held.arguments:
                self._drop(same, key)
        self.send(key, held, held.arguments)

    def _asked_once(self, key: Key, held: Held) -> None:
        """A snapshot, or a request that ends its kind's subscription."""
        was_held = self._shelf.forget(key)
        if was_held is not None and self._has_no_session():
            return
        try:
            if held.kind.has_data_type:
                self.use_data_type(held)
            self.send(key, held, held.arguments)
        except ConnectionError:
            held.kind.home.take_out(self._wrapper, key, held)
            held.kind.home.let_go(self._wrapper, key, held)
            raise
        finally:
            standing = self._shelf.same(held)
            if standing is not None:  # a snapshot on the Ticker of a stream: the stream is what a cancel is about
                held.kind.home.put_back(self._wrapper, standing, self._shelf.held[standing])

    def _cancelled(self, kind: Kind, *every: Any) -> None:
        key, arguments = kind.split(every)
        key = self._shelf.current(key)
        if key not in self._shelf.held:
            self._cancel[kind.name](*every)
        elif self._shelf.ledger.is_asked(key):
            self._shelf.forget(key)
            self._cancel[kind.name](*kind.joined(key, arguments))
            self._on_moved()
        else:
            self._shelf.clear_away(key)
            self._on_moved()

    def _data_type_asked(self, data_type: int) -> None:
        self._data_type = data_type
        if not self._has_no_session():
            self._set_data_type(data_type)
            self._type_at_gateway = data_type

    def _drop(self, key: Key, successor: Key) -> None:
        """Another takes its place. Whoever awaits its first answer is served by the other's."""
        held, futures = self._shelf.held[key], self._wrapper._futures
        if key in futures and key != successor:
            answer = futures.get(successor)
            if answer is None:
                self._wrapper._endReq(key)
            else:
                answer.add_done_callback(lambda _: self._wrapper._endReq(key))
        if not self._shelf.ledger.is_asked(key):
            self._shelf.clear_away(key)
            return
        self._end(key, held)
        self._shelf.forget(key)
        held.kind.home.take_out(self._wrapper, key, held)

    def _answer_now(self, key: Key, held: Held) -> None:
        """Whoever awaits the first answer has the object now; it fills when there is a session."""
        self._wrapper._endReq(held.kind.awaited or key, held.thing)
        self._wrapper._results.pop(key, None)

    def _has_no_session(self) -> bool:
        """Whether there is none, but one is on its way."""
        return self.is_wanted and not (self.is_open and self._client.isReady())


class _StandIn:
    """In the place of one method: there are dozens for each connector, so they are small. ``theirs`` takes ``self``."""

    __slots__ = ("_kind", "_ours", "_theirs")

    def __init__(self, ours: Callable[..., None], kind: Kind | None, theirs: Callable[..., None]) -> None:
        self._ours, self._kind, self._theirs = ours, kind, theirs

    def __call__(self, *args: Any, **named: Any) -> None:
        signature = _signature(self._theirs)
        if named or len(args) + 1 != len(signature.parameters):  # to bind costs more than all the rest
            args = signature.bind(None, *args, **named).args[1:]
        self._ours(*args) if self._kind is None else self._ours(self._kind, *args)


@functools.cache  # the same for every client, and slow to find out
def _signature(function: Callable[..., None]) -> inspect.Signature:
    """With ``self``."""
    return inspect.signature(function)
