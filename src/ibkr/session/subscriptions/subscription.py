"""One kind of subscription, and one subscription."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

from ibkr.core.facts import Key
from ibkr.core.state import Feed
from ibkr.core.value import Value
from ibkr.session.library import Arguments, Library
from ibkr.session.library.wrapper import WrapperOverrides


class LibraryMap(Protocol):
    """Where the client library keeps what streams: finds the caller's object there, inserts it, removes it."""

    def find(self, wrapper: WrapperOverrides, key: Key) -> Any:
        """The object of a request that the library has just prepared; None if it keeps none."""

    def insert(self, wrapper: WrapperOverrides, key: Key, sub: Subscription) -> None:
        """As if it had just been asked for under this id."""

    def remove(self, wrapper: WrapperOverrides, key: Key, sub: Subscription) -> None:
        """As after the library's own cancel: it can be asked for anew, and what is still on its way does no harm."""

    def forget_object(self, wrapper: WrapperOverrides, key: Key, sub: Subscription) -> None:
        """Nothing is on its way any more, after ``remove``: as if it had never been asked for under this id."""

    def slot(self, sub: Subscription) -> Hashable:
        """What a second request replaces: it has the same slot. None: nothing."""


def _always(arguments: Arguments) -> bool:
    return True


def _nothing(arguments: Arguments) -> Arguments:
    return {}


def _as_asked(library: Library, key: Key, sub: Subscription) -> Arguments:
    return sub.arguments


def _no_more(library: Library, key: Key, sub: Subscription) -> None:
    return


class Kind(Value):
    """A kind of subscription: the client's methods, the library's maps, the gateway's messages.

    Arguments are those of the client's methods, by name, without the request id.
    """

    name: str
    request: str
    """The client's method that asks for it."""
    cancel: str
    """The client's method that cancels it; "" where there is none."""
    library_map: LibraryMap
    label: Callable[[Arguments], str]
    """What one subscription is called."""
    answers: Mapping[str, int]
    """Messages that answer it, and where in each the request id is (0: nowhere). Empty: it lives once sent."""
    has_id: bool = True
    """Both methods take ``reqId``. Otherwise there is one subscription of the kind at a time, under its name."""
    keeps_id: bool = False
    """The program knows it by its request id alone, so that it keeps it on a live socket too."""
    feed: Feed | None = None
    """The kind of farm that it comes over; None: over none, straight from upstream."""
    is_watched: bool = False
    """Whether its silence is a sign of trouble; never where asking again has a pacing limit."""
    has_data_type: bool = False
    """Whether it is for live or for delayed data what ``reqMarketDataType`` was asked for."""
    gone: frozenset[int] = frozenset()
    """Codes with which a gateway answers the cancel of what it does not stream any more."""
    awaited: str = ""
    """The library's key for who awaits the first answer, where that is not the request id."""
    is_stream: Callable[[Arguments], bool] = _always
    """Whether such a request is a subscription; a snapshot is none."""
    cancel_arguments: Callable[[Arguments], Arguments] = _nothing
    """What the cancel takes besides the request id."""
    prepare: Callable[[Library, Key, Subscription], Arguments] = _as_asked
    """Before each sending: clears what must be cleared, and returns the arguments to send."""
    answered: Callable[[Library, Key, Subscription], None] = _no_more
    """After each of its messages, where the library writes them into a list or a PnL."""

    def split(self, arguments: Arguments) -> tuple[Key, Arguments]:
        """The key, and the arguments without it."""
        if not self.has_id:
            return self.name, arguments
        return arguments["reqId"], {name: value for name, value in arguments.items() if name != "reqId"}

    def joined(self, key: Key, arguments: Arguments) -> Arguments:
        """The arguments with the key, where it is an id."""
        return {"reqId": key, **arguments} if self.has_id else arguments


class AfterGap(Value):
    """Subscriptions after an outage, in words: which run again, which were refused, and how bars were filled up."""

    restored: tuple[str, ...]
    refused: tuple[str, ...]
    filled: tuple[tuple[str, int], ...]
    unfilled: tuple[str, ...]


class Subscription:
    """One subscription: the object in the caller's hands, None where the library has none, and how it was asked for.

    ``arguments`` are copies: the caller may alter a contract later. ``heard``: when its last messages came, in the
    loop's time, in this session. ``data_type``: of market data, live or delayed, which the program had asked for last
    before. ``lost_at``: wall time at which an earlier session lost it; ``filled``: how many bars
    have come over the gap since. ``is_early``: asked for before the first session, whose order ids were not known.
    ``asked_on_connect``: by a handler of ``connectedEvent``, which asks for the same in each session: what, and a
    number where there are several.
    """

    lost_at: float | None = None
    filled: int | None = None
    is_early = False
    asked_on_connect: Hashable = None

    def __init__(self, kind: Kind, obj: Any, arguments: Arguments, data_type: int) -> None:
        self.kind = kind
        self.obj = obj
        self.arguments = arguments
        self.data_type = data_type
        self.heard: deque[float] = deque()

    @property
    def slot(self) -> Hashable:
        """What a second request replaces."""
        return self.kind.library_map.slot(self)
