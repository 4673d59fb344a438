"""TCP's own signs of life, for when our loop has no say: where the system has them."""

from __future__ import annotations

import logging
import math
import socket
from typing import Any

logger = logging.getLogger("ibkr.session")

_PROBES = 3


def keep_alive(sock: Any, patience: float) -> None:
    """Have the system end a connection whose peer has not acknowledged anything for ``patience`` seconds or more.

    Never sooner, so that our own probe has its say first.
    """
    seconds = math.ceil(patience)
    options = {
        "TCP_KEEPIDLE": seconds,
        "TCP_KEEPALIVE": seconds,  # its name on macOS
        "TCP_KEEPINTVL": max(1, seconds // _PROBES),
        "TCP_KEEPCNT": _PROBES,
        "TCP_USER_TIMEOUT": math.ceil(patience * 1000),
    }
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            option = getattr(socket, name, None)
            if option is not None:
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
    except OSError:
        logger.debug("TCP keepalive could not be set in full", exc_info=True)
