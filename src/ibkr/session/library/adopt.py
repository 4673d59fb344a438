"""Turns an ``IB`` object of the client library, and its parts, into instances of our subclasses."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ibkr.core.errors import ConfigError
from ibkr.session.library.client import ClientOverrides
from ibkr.session.library.connection import ConnectionOverrides
from ibkr.session.library.contract import check_library
from ibkr.session.library.decoder import DecoderOverrides
from ibkr.session.library.hooks import Hooks
from ibkr.session.library.ib import IBOverrides
from ibkr.session.library.message_reader import MessageReader
from ibkr.session.library.packages import (
    IB_ASYNC,
    IB_INSYNC,
    load,
    package_of,
    patch_policy_lookup,
    warn_of_two_eventkits,
)
from ibkr.session.library.tick_decoder import NoTickReader, TickDecoder
from ibkr.session.library.trade_rows import is_library_method
from ibkr.session.library.wrapper import WrapperOverrides

if TYPE_CHECKING:
    from ib_async import IB, Contract, TradeLogEntry

T = TypeVar("T")

_SUBCLASSES: dict[tuple[type[Any], type[Any]], type[Any]] = {}


@dataclass(frozen=True)
class Library:
    """The objects of one ``IB``, each an instance of our subclass, and classes of its library."""

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
    check_library(package)
    return cast("IB", importlib.import_module(name).IB())


def adopt(ib: IB, hooks: Hooks) -> Library:
    """Change the classes of this object and of its parts to our subclasses.

    The object stays the same, even if its class is the user's own subclass.

    Raises:
        ConfigError: ``ib`` is not an ``IB`` object, or another connector keeps it connected, or the installed library
            differs in parts that we rely on.
    """
    package = package_of(ib)
    if isinstance(ib, IBOverrides) and ib.hooks.is_wanted:
        raise ConfigError("ib", ib, "must not be in use: another IBConnector keeps it connected; disconnect that first")
    is_known = check_library(package)
    warn_of_two_eventkits()
    patch_policy_lookup()
    _detach(ib)
    client = _become(ib.client, ClientOverrides)
    wrapper = _become(ib.wrapper, WrapperOverrides)
    decoder = _become(client.decoder, DecoderOverrides)
    conn = _become(client.conn, ConnectionOverrides)
    ours = _become(ib, IBOverrides)
    is_fast = is_known and package is IB_ASYNC
    ticks = TickDecoder(wrapper, decoder) if is_fast else NoTickReader()
    reader = MessageReader(client, decoder, ticks, hooks)
    contract: type[Contract] = importlib.import_module(package.name).Contract
    takes_rows = all(is_library_method(wrapper, name) for name in ("openOrder", "orderStatus", "execDetails"))
    ours.adopt(hooks, is_fast=is_fast and is_library_method(ours, "placeOrder"))
    client.adopt(hooks, contract)
    wrapper.adopt(hooks, keys_are_ids=package is IB_INSYNC, is_fast=is_fast and takes_rows)
    decoder.adopt(hooks, is_fast=is_fast)
    conn.adopt(hooks, reader)
    log_entry = importlib.import_module(f"{package.name}.objects").TradeLogEntry
    return Library(ours, client, wrapper, decoder, conn, reader, log_entry)


def _detach(ib: IB) -> None:
    """Disconnect the library's own listeners from events that we handle."""
    client = ib.client
    # On each 1102, this listener only requests the account summary: each time one more subscription.
    ib.errorEvent.disconnect(ib._onError)
    client.conn.hasData.clear()
    client.conn.disconnected.clear()


def _become(obj: object, overrides: type[T]) -> T:
    """Change the object's class to a subclass in which our overrides come first."""
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
