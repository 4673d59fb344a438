"""The client library: chosen by name or by an ``IB`` object, imported when the first connector is made, not before."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol

from ibkr.core.errors import ConfigError
from ibkr.session.backends.ib_async import IbAsync
from ibkr.session.backends.ib_insync import IbInsync
from ibkr.session.packages import ask_no_policy, import_eventkit


class Backend(Protocol):
    """One client library, as far as it differs from the other."""

    name: str
    """The module's name, and the setting's."""
    install: str
    """What pip is to be asked for."""

    def place_of(self, ticker: Any, contract: Any) -> int:
        """The key under which ``wrapper.tickers`` has the ticker that was asked for with this contract."""

    def books_of(self, ticker: Any) -> Sequence[Any]:
        """All that holds rows of its order book."""

    def adapt(self, ib: Any) -> None:
        """Replace on this object what works in the other library."""


_BACKENDS: dict[str, Backend] = {each.name: each for each in (IbAsync(), IbInsync())}


def choose(name: str, ib: Any) -> Any:
    """The caller's own ``IB`` object, or a fresh one of the backend of this name. Raises ``ConfigError``."""
    chosen = _new_ib(name) if ib is None else ib
    backend_of(chosen)
    ask_no_policy()
    return chosen


def _new_ib(name: str) -> Any:
    backend = _BACKENDS[name]
    try:
        import_eventkit(name)
        return importlib.import_module(name).IB()
    except ModuleNotFoundError as error:
        cure = f"{error.name} is not installed: python -m pip install '{backend.install}'"
        raise ConfigError("ibkr.backend", name, cure) from error


def backend_of(thing: object) -> Backend:
    """The backend that an object of the library's, or of a class derived from one, belongs to."""
    for base in type(thing).__mro__:
        backend = _BACKENDS.get(base.__module__.partition(".")[0])
        if backend is not None:
            return backend
    raise ConfigError("ib", thing, f"must be an IB object of {' or '.join(_BACKENDS)}")


def contract_class(thing: object) -> type:
    """The class that all contracts of the library derive from that this object belongs to."""
    contract: type = importlib.import_module(backend_of(thing).name).Contract
    return contract


def log_entry_class(thing: object) -> Any:
    """The class of the entries in a trade's log, of the library that this object belongs to."""
    return importlib.import_module(f"{backend_of(thing).name}.objects").TradeLogEntry


def spoken_versions(name: str) -> tuple[int, int]:
    """The oldest and the newest protocol version that the backend of this name speaks.

    Raises ``ConfigError`` and ``ImportError`` where it cannot be loaded.
    """
    import_eventkit(name)
    client = importlib.import_module(f"{name}.client").Client
    return client.MinClientVersion, client.MaxClientVersion
