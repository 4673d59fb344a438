"""One kind of subscription, and one subscription."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

from ibkr.core.events import Key
from ibkr.core.frozen_record import FrozenRecord
from ibkr.core.states import Feed
from ibkr.session.library import Arguments, Library
from ibkr.session.library.wrapper import WrapperOverrides


class LibraryMap(Protocol):
    """Where the client library keeps a streamed object: finds it there, inserts it, removes it."""

    def find(self, wrapper: WrapperOverrides, key: Key) -> Any:
        """The object of a request that the library has just prepared, or ``None`` if the library keeps no object."""

    def insert(self, wrapper: WrapperOverrides, key: Key, sub: Subscription) -> None:
        """Insert the object, as if it had just been requested with this id."""

    def remove(self, wrapper: WrapperOverrides, key: Key, sub: Subscription) -> None:
        """Remove the object, as the library's own cancel does. It can be inserted again. Late messages do no harm."""

    def forget_object(self, wrapper: WrapperOverrides, key: Key, sub: Subscription) -> None:
        """After ``remove``: forget the object when no more messages are expected."""

    def slot(self, sub: Subscription) -> Hashable:
        """The slot of a subscription. A later one with the same slot replaces it. ``None``: it replaces nothing."""


def _always(arguments: Arguments) -> bool:
    return True


def _nothing(arguments: Arguments) -> Arguments:
    return {}


def _as_asked(library: Library, key: Key, sub: Subscription) -> Arguments:
    return sub.arguments


def _no_more(library: Library, key: Key, sub: Subscription) -> None:
    return


class SubscriptionKind(FrozenRecord):
    """A kind of subscription: the client's methods, the library's maps, the gateway's messages.

    Arguments are the arguments of the client's methods, by name, without the request id.
    """

    name: str
    request: str
    """The client's method that requests the subscription."""
    cancel: str
    """The client's method that cancels the subscription, or an empty text."""
    library_map: LibraryMap
    label: Callable[[Arguments], str]
    """The name of one subscription."""
    answers: Mapping[str, int]
    """Its messages, and the position of the request id in each (0: none). If empty, it is live when it is sent."""
    has_id: bool = True
    """Whether its methods take ``reqId``. If not, there is one subscription of the kind, and its key is the kind's
    name.
    """
    keeps_id: bool = False
    """Whether the subscription keeps its id on a live socket, because the program knows it only by this id."""
    feed: Feed | None = None
    """The kind of data farm that it uses. ``None``: it comes directly from upstream."""
    has_data_type: bool = False
    """Whether ``reqMarketDataType`` decides between live and delayed data for it."""
    not_found_codes: frozenset[int] = frozenset()
    """The codes that answer the cancel of a stream that the gateway does not have."""
    awaited: str = ""
    """The library's key for a caller that awaits the first answer, if that is not the request id."""
    is_stream: Callable[[Arguments], bool] = _always
    """Whether a request is a subscription. A snapshot is not."""
    cancel_arguments: Callable[[Arguments], Arguments] = _nothing
    """The arguments of the cancel, without the request id."""
    prepare: Callable[[Library, Key, Subscription], Arguments] = _as_asked
    """Called before each sending. Clears outdated data, and returns the arguments to send."""
    is_pending_ticker: bool = False
    """Whether the library marks its ticker as pending, and its messages are not seen one by one (market data)."""
    answered: Callable[[Library, Key, Subscription], None] = _no_more
    """Called after each message that the library writes into a list or a PnL."""

    def split(self, arguments: Arguments) -> tuple[Key, Arguments]:
        """Split the arguments into the key and the other arguments."""
        if not self.has_id:
            return self.name, arguments
        return arguments["reqId"], {name: value for name, value in arguments.items() if name != "reqId"}

    def joined(self, key: Key, arguments: Arguments) -> Arguments:
        """Add the key to the arguments if it is an id."""
        return {"reqId": key, **arguments} if self.has_id else arguments


class AfterGap(FrozenRecord):
    """Subscriptions after an outage, in words: restored, refused, and how bars were filled up."""

    restored: tuple[str, ...]
    refused: tuple[str, ...]
    filled: tuple[tuple[str, int], ...]
    unfilled: tuple[str, ...]


class Subscription:
    """One subscription: the object that the program uses (``None`` if the library has none), and its request.

    Attributes:
        arguments: The arguments of the request. These are copies, because the program may change a contract later.
        message_times: When its last messages came in this session, in the loop's time.
        data_type: The type of market data, live or delayed, that the program had set before.
        lost_at: The wall time at which an earlier session lost it.
        last_date: The date of its last bar before this loss, until the gap is filled.
        filled: How many bars were added for the gap.
        max_silence: How long it may be silent, judged by its ticks in the last session or stream.
        has_ticked: Whether it has ticked before.
        first_key: The key that the program has requested it with, if it has another key now.
        has_own_timeout: Whether the caller that awaits its first answer has passed a timeout.
        is_early: Whether it was requested before the first session, when the valid ids were unknown.
        requested_on_connect: Identifies a request of a ``connectedEvent`` handler, which repeats it in each session:
            its kind, arguments and number.
        may_be_repeated: Whether it was requested before this session, and not again since the session began or ended.
    """

    lost_at: float | None = None
    last_date: dt.date | None = None
    filled: int | None = None
    max_silence: float | None = None
    has_ticked = False
    first_key: Key | None = None
    has_own_timeout = False
    is_early = False
    requested_on_connect: Hashable = None
    may_be_repeated = False

    def __init__(self, kind: SubscriptionKind, obj: Any, arguments: Arguments, data_type: int) -> None:
        self.kind = kind
        self.obj = obj
        self.arguments = arguments
        self.data_type = data_type
        self.message_times: deque[float] = deque()

    @property
    def slot(self) -> Hashable:
        """Its slot. A second subscription with the same slot replaces it."""
        return self.kind.library_map.slot(self)
