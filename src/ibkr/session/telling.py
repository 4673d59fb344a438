"""How failures of the library, the system and the program's handlers are put: log lines, and their words."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

logger = logging.getLogger("ibkr.session")


class Subdued(logging.LoggerAdapter[logging.Logger]):
    """The library's client logs each failed attempt as ERROR, four a second while a port refuses. We tell those."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        super().log(min(level, logging.DEBUG), msg, *args, **kwargs)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs


def warn_in_any_case(text: str) -> None:
    """Log a warning that a person must see: it goes to stderr if the program has set up no logging."""
    logger.warning("%s", text)
    each: logging.Logger | None = logger
    while each is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in each.handlers):
            return
        each = each.parent if each.propagate else None
    print(text, file=sys.stderr)


def plain(message: str) -> str:
    """A system error's text without its number: ``[Errno 104] Connection reset by peer``."""
    return re.sub(r"^\[(Errno|WinError) \d+\] ", "", message)


def in_words(error: OSError | UnicodeError) -> str:
    """Why the address could not be reached."""
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return f"the host's name cannot be resolved ({plain(str(error))}): check ibkr.host"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused: nothing listens at this port"
    return error.strerror or str(error) or type(error).__name__


def kept_apart(call: Callable[..., object], *args: object) -> None:
    """Call what calls the program's handlers. The library keeps what they raise apart, but not ``CancelledError``.

    Asyncio takes that from a socket's reader for the end of the socket, and the work that was under way is left half
    done.
    """
    try:
        call(*args)
    except asyncio.CancelledError:
        tell_cancelled()


def tell_cancelled() -> None:
    """In an ``except`` clause: a handler has raised ``CancelledError``, as the result of a cancelled future does."""
    logger.exception("A handler of the program's raised CancelledError; the connection goes on")
