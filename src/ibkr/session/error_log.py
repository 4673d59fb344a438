"""Handles what the program's handlers raise, and logs warnings that must be seen."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable

logger = logging.getLogger("ibkr.session")


def warn_always(text: str) -> None:
    """Log a warning that must be seen. If the program has set up no logging, print it to stderr."""
    logger.warning("%s", text, extra={"is_unlimited": True})
    each: logging.Logger | None = logger
    while each is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in each.handlers):
            return
        each = each.parent if each.propagate else None
    print(text, file=sys.stderr)


def call_shielded(call: Callable[..., object], *args: object) -> None:
    """Call a function that calls the program's handlers. If a handler raises ``CancelledError``, log this.

    The library catches other exceptions, but a ``CancelledError`` would leave the current work half done.
    ``sys.exit()`` and ``KeyboardInterrupt`` would do the same. So they end the loop a little later.
    """
    try:
        call(*args)
    except asyncio.CancelledError:
        log_cancelled()
    except (SystemExit, KeyboardInterrupt) as error:
        raise_in_callback(error)


def raise_in_callback(error: BaseException) -> None:
    """Raise a handler's ``sys.exit()`` or ``KeyboardInterrupt`` in a separate callback, where it ends the loop.

    Otherwise our current work would stay half done, for example the end of a socket, for which everything else waits.
    If no loop runs, the error is raised here.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise error from None
    loop.call_soon(_raise, error)


def _raise(error: BaseException) -> None:
    raise error


def log_cancelled() -> None:
    """Log, in an ``except`` clause, that a handler has raised ``CancelledError``.

    For example, a handler that reads the result of a cancelled future raises it.
    """
    logger.exception("A handler of the program raised CancelledError; the connection continues")
