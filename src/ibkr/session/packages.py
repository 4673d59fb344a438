"""The module ``eventkit``, which two distributions bring: the one that was installed last is used.

ib_async needs ``aeventkit``, ib_insync the older ``eventkit``; pip knows of no conflict. Both libraries work with both,
but the older one cannot be imported in a thread that has no event loop, nor from Python 3.14 on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from dataclasses import is_dataclass
from functools import cache

from ibkr.core.errors import ConfigError

logger = logging.getLogger("ibkr.session")

_POLICY_WARNS = 0x030E0000
"""Python 3.14, as a number that no type checker takes for a constant."""
CURE = (
    "python -m pip uninstall --yes eventkit, then python -m pip install --force-reinstall --no-deps 'aeventkit>=2.1,<3'"
)


def import_eventkit(backend: str) -> None:
    """Import it ahead of the client library. Raises ``ConfigError`` where the older one cannot be imported."""
    try:
        import eventkit  # noqa: F401 - whether it can be imported is the question
    except RuntimeError as error:
        cure = f"it needs the module eventkit, whose older package cannot be imported here ({error}): {CURE}"
        raise ConfigError("ibkr.backend", backend, cure) from error


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
    """Whether the module is that of the older distribution."""
    import eventkit

    return not is_dataclass(eventkit.Event)


@cache
def tell_of_two_eventkits() -> None:
    """Warn, once in a process, if both are installed."""
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
