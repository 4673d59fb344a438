"""The installed client libraries, and the module ``eventkit`` that both need.

Two distributions contain this module. Python uses the one that was installed last. ib_async needs ``aeventkit``;
ib_insync needs the older ``eventkit``. pip does not detect the conflict. Both libraries work with both distributions,
but the older one cannot be imported in a thread without event loop, nor from Python 3.14 on.
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


_POLICY_WARNS_FROM = 0x030E0000
"""Python 3.14, as a number that type checkers do not treat as a constant."""


@dataclass(frozen=True)
class Package:
    """A client library. ``name`` is the name of its module, and the value of the setting ``backend``."""

    name: str
    install: str
    """The argument of ``pip install``."""
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
    """The library that an object belongs to, even if its class is derived. Raises ``ConfigError`` for other objects."""
    for base in type(obj).__mro__:
        package = _PACKAGES.get(base.__module__.partition(".")[0])
        if package is not None:
            return package
    raise ConfigError("ib", obj, f"must be an IB object of {' or '.join(_PACKAGES)}")


def protocol_versions(name: str) -> tuple[int, int]:
    """The oldest and the newest protocol version that this library supports.

    Raises ``ConfigError`` or ``ImportError`` if the library cannot be imported.
    """
    _import_eventkit(name)
    client = cast("type[Client]", importlib.import_module(f"{name}.client").Client)
    return client.MinClientVersion, client.MaxClientVersion


def patch_policy_lookup() -> None:
    """Make eventkit get the loop of a coroutine handler from asyncio, and not from the event-loop policy.

    The policy warns from Python 3.14 on, and is removed in 3.16. Before 3.14, nothing changes.
    """
    if sys.hexversion < _POLICY_WARNS_FROM:
        return
    asks = getattr(sys.modules["eventkit.util"], "get_event_loop", None)
    if "get_event_loop_policy" not in getattr(getattr(asks, "__code__", None), "co_names", ()):
        return  # a newer version, or already done
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "eventkit" and getattr(module, "get_event_loop", None) is asks:
            module.get_event_loop = asyncio.get_event_loop  # type: ignore[attr-defined]


def is_older_eventkit() -> bool:
    """Whether the older distribution provides the module ``eventkit``."""
    import eventkit

    return not is_dataclass(eventkit.Event)


@cache
def warn_of_two_eventkits() -> None:
    """Warn, once per process, if both distributions are installed."""
    import eventkit

    folder = os.path.dirname(os.path.dirname(eventkit.__file__))
    installed = {name.partition("-")[0] for name in os.listdir(folder) if name.endswith(".dist-info")}
    if {"eventkit", "aeventkit"} <= installed:
        logger.warning(
            "the packages 'eventkit' and 'aeventkit' both provide the module eventkit: the one installed last is used"
            " (now %s), and the older one fails in threads. To keep only the newer one: %s",
            eventkit.__version__,
            CURE,
        )


def _import_eventkit(backend: str) -> None:
    """Import eventkit before the client library does.

    Raises ``ConfigError`` if the older distribution is installed and cannot be imported here.
    """
    try:
        import eventkit  # noqa: F401 - whether it can be imported is the question
    except RuntimeError as error:
        cure = f"it needs the module eventkit, whose older package cannot be imported here ({error}): {CURE}"
        raise ConfigError("ibkr.backend", backend, cure) from error
