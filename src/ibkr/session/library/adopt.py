"""An ``IB`` object of the client library becomes ours, with all that belongs to it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ibkr.session.library.client import ClientOverrides
from ibkr.session.library.connection import ConnectionOverrides
from ibkr.session.library.contract import check
from ibkr.session.library.decoder import DecoderOverrides
from ibkr.session.library.hooks import Hooks
from ibkr.session.library.ib import IBOverrides
from ibkr.session.library.packages import (
    IB_ASYNC,
    IB_INSYNC,
    ask_no_policy,
    load,
    package_of,
    warn_of_two_eventkits,
)
from ibkr.session.library.reader import MessageReader
from ibkr.session.library.tick_decoder import NoTicks, TickDecoder
from ibkr.session.library.wrapper import WrapperOverrides

if TYPE_CHECKING:
    from ib_async import IB, Contract, TradeLogEntry

T = TypeVar("T")

_SUBCLASSES: dict[tuple[type[Any], type[Any]], type[Any]] = {}


@dataclass(frozen=True)
class Library:
    """The objects of one ``IB``, each an instance of our subclass, and the classes of the library that it is from."""

    ib: IBOverrides
    client: ClientOverrides
    wrapper: WrapperOverrides
    decoder: DecoderOverrides
    conn: ConnectionOverrides
    reader: MessageReader
    log_entry: Callable[..., TradeLogEntry]
    """The class of the entries in a trade's log."""


def new_ib(name: str) -> IB:
    """A new ``IB`` object of the library with this name. Raises ``ConfigError`` if the library cannot be used."""
    package = load(name)
    check(package)
    return cast("IB", importlib.import_module(name).IB())


def adopt(ib: IB, hooks: Hooks) -> Library:
    """Make this object ours: it, and its parts, become instances of our subclasses of their own classes.

    The object stays the same, also one of the caller's own subclass. Raises ``ConfigError`` if it is no ``IB`` object,
    or if the installed library is not what we rely on.
    """
    package = package_of(ib)
    is_known = check(package)
    warn_of_two_eventkits()
    ask_no_policy()
    _detach(ib)
    client = _become(ib.client, ClientOverrides)
    wrapper = _become(ib.wrapper, WrapperOverrides)
    decoder = _become(client.decoder, DecoderOverrides)
    conn = _become(client.conn, ConnectionOverrides)
    ours = _become(ib, IBOverrides)
    is_fast = is_known and package is IB_ASYNC
    ticks = TickDecoder(wrapper, decoder) if is_fast else NoTicks()
    reader = MessageReader(client, decoder, ticks, hooks)
    contract: type[Contract] = importlib.import_module(package.name).Contract
    ours.adopt(hooks)
    client.adopt(hooks, contract)
    wrapper.adopt(hooks, keys_are_ids=package is IB_INSYNC)
    decoder.adopt(hooks, is_known=is_fast)
    conn.adopt(hooks, reader)
    log_entry = importlib.import_module(f"{package.name}.objects").TradeLogEntry
    return Library(ours, client, wrapper, decoder, conn, reader, log_entry)


def _detach(ib: IB) -> None:
    """Disconnect the library's own listeners from events whose work is ours."""
    client = ib.client
    # Its only work is to ask for the account summary at each 1102, a subscription more every time.
    ib.errorEvent.disconnect(ib._onError)
    client.conn.hasData.clear()
    client.conn.disconnected.clear()


def _become(obj: object, overrides: type[T]) -> T:
    """Give the object the subclass of its class in which our overrides go first."""
    if not isinstance(obj, overrides):
        cls: type[Any] = type(obj)
        obj.__class__ = _subclass(cls, overrides)
    return cast(T, obj)


def _subclass(cls: type[Any], overrides: type[Any]) -> type[Any]:
    found = _SUBCLASSES.get((cls, overrides))
    if found is None:
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        found = _SUBCLASSES[cls, overrides] = type(cls.__name__, (overrides, cls), names)
    return found
