"""The installed client libraries: which one an object belongs to, and the module ``eventkit`` that both of them need.

Two distributions bring that module, and the one that was installed last is used. ib_async needs ``aeventkit``,
ib_insync the older ``eventkit``; pip knows of no conflict. Both libraries work with both, but the older one cannot be
imported in a thread that has no event loop, nor from Python 3.14 on.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from ibkr.core.errors import ConfigError

if TYPE_CHECKING:
    from ib_async.client import Client

logger = logging.getLogger("ibkr.session")

CURE = (
    "python -m pip uninstall --yes eventkit, then python -m pip install --force-reinstall --no-deps 'aeventkit>=2.1,<3'"
)


_POLICY_WARNS = 0x030E0000
"""Python 3.14, as a number that no type checker takes for a constant."""


@dataclass(frozen=True)
class Package:
    """A client library. ``name``: of its module, and the value of the setting ``backend``."""

    name: str
    install: str
    """What to give to ``pip install``."""
    known: str
    """The version that the subclasses in this package were written for."""

    @property
    def version(self) -> str:
        """The installed version."""
        return str(getattr(sys.modules[self.name], "__version__", "unknown"))


IB_ASYNC = Package("ib_async", "ib_async>=2.1,<3", "2.1.0")
IB_INSYNC = Package("ib_insync", "ib_insync==0.9.86", "0.9.86")
_PACKAGES = {each.name: each for each in (IB_ASYNC, IB_INSYNC)}


def load(name: str) -> Package:
    """Import the library with this name. Raises ``ConfigError`` if that is not possible."""
    package = _PACKAGES[name]
    try:
        _import_eventkit(name)
        importlib.import_module(name)
        return package
    except ModuleNotFoundError as error:
        cure = f"{error.name} is not installed: python -m pip install '{package.install}'"
        raise ConfigError("ibkr.backend", name, cure) from error


def package_of(obj: object) -> Package:
    """The library that an object belongs to, also one of a derived class. Raises ``ConfigError`` for other objects."""
    for base in type(obj).__mro__:
        package = _PACKAGES.get(base.__module__.partition(".")[0])
        if package is not None:
            return package
    raise ConfigError("ib", obj, f"must be an IB object of {' or '.join(_PACKAGES)}")


def spoken_versions(name: str) -> tuple[int, int]:
    """The oldest and the newest protocol version that this library speaks.

    Raises ``ConfigError`` and ``ImportError`` if it cannot be imported.
    """
    _import_eventkit(name)
    client = cast("type[Client]", importlib.import_module(f"{name}.client").Client)
    return client.MinClientVersion, client.MaxClientVersion


def ask_no_policy() -> None:
    """Have it ask asyncio, not the event-loop policy, for the loop in which a coroutine handler is to run.

    The policy warns from Python 3.14 on, and is gone in 3.16. Before, nothing is changed.
    """
    if sys.hexversion < _POLICY_WARNS:
        return
    asks = getattr(sys.modules["eventkit.util"], "get_event_loop", None)
    if "get_event_loop_policy" not in getattr(getattr(asks, "__code__", None), "co_names", ()):
        return  # a newer version, or done before
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "eventkit" and getattr(module, "get_event_loop", None) is asks:
            module.get_event_loop = asyncio.get_event_loop  # type: ignore[attr-defined]


def is_older_eventkit() -> bool:
    """Whether the module ``eventkit`` is that of the older distribution."""
    import eventkit

    return not is_dataclass(eventkit.Event)


@cache
def warn_of_two_eventkits() -> None:
    """Warn, once in a process, if both distributions are installed."""
    import eventkit

    folder = os.path.dirname(os.path.dirname(eventkit.__file__))
    installed = {name.partition("-")[0] for name in os.listdir(folder) if name.endswith(".dist-info")}
    if {"eventkit", "aeventkit"} <= installed:
        logger.warning(
            "the packages 'eventkit' and 'aeventkit' both bring the module eventkit: the one installed last is used"
            " (now %s), and the older one fails in threads. To keep the newer one alone: %s",
            eventkit.__version__,
            CURE,
        )


def _import_eventkit(backend: str) -> None:
    """Import it before the client library does. Raises ``ConfigError`` if the older one cannot be imported here."""
    try:
        import eventkit  # noqa: F401 - whether it can be imported is the question
    except RuntimeError as error:
        cure = f"it needs the module eventkit, whose older package cannot be imported here ({error}): {CURE}"
        raise ConfigError("ibkr.backend", backend, cure) from error
