"""Failures of the library, the system and the program's handlers: what is logged, and in which words."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import sys
from collections.abc import Callable

logger = logging.getLogger("ibkr.session")


def warn_in_any_case(text: str) -> None:
    """Log a warning that a person must see: it goes to stderr if the program has set up no logging."""
    logger.warning("%s", text)
    each: logging.Logger | None = logger
    while each is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in each.handlers):
            return
        each = each.parent if each.propagate else None
    print(text, file=sys.stderr)


def without_number(message: str) -> str:
    """A system error's text without its number: ``[Errno 104] Connection reset by peer``."""
    return re.sub(r"^\[(Errno|WinError) \d+\] ", "", message)


def address_error(error: OSError | UnicodeError) -> str:
    """Why the address could not be reached."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return f"the host's name cannot be resolved ({without_number(str(error))}): check ibkr.host"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens at this port"
    return error.strerror or str(error) or type(error).__name__


def shielded(call: Callable[..., object], *args: object) -> None:
    """Call something that calls the program's handlers. The library shields us from what they raise, but not from
    ``CancelledError``, which would leave the work that was under way half done.
    """
    try:
        call(*args)
    except asyncio.CancelledError:
        log_cancelled()


def log_cancelled() -> None:
    """In an ``except`` clause: a handler has raised ``CancelledError``, as the result of a cancelled future does."""
    logger.exception("A handler of the program's raised CancelledError; the connection goes on")
