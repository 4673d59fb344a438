"""TCP's own signs of life, for when our loop has no say: where the system has them."""

from __future__ import annotations

import logging
import math
import socket
from typing import Any

logger = logging.getLogger("ibkr.session")

_PROBES = 3
# What Linux takes for the first of these.
_LONGEST = 32767


def keep_alive(sock: Any, patience: float) -> None:
    """Have the system end a connection whose peer has not acknowledged anything for ``patience`` seconds or more.

    Never sooner, so that our own probe has its say first.
    """
    seconds = min(math.ceil(patience), _LONGEST)
    options = {
        "SO_KEEPALIVE": 1,
        "TCP_KEEPIDLE": seconds,
        "TCP_KEEPALIVE": seconds,  # its name on macOS
        "TCP_KEEPINTVL": max(1, seconds // _PROBES),
        "TCP_KEEPCNT": _PROBES,
        "TCP_USER_TIMEOUT": 1000 * seconds,
    }
    for name, value in options.items():
        option = getattr(socket, name, None)
        if option is None:
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET if name == "SO_KEEPALIVE" else socket.IPPROTO_TCP, option, value)
        except OSError:
            logger.debug("%s could not be set to %s", name, value, exc_info=True)
