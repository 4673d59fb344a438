"""Ports for what starts later than the test that chooses its port."""

from __future__ import annotations

import contextlib
import random
import socket


def unused_port() -> int:
    """A port below those that the system gives to others, which might take it meanwhile."""
    for port in random.sample(range(20_000, 30_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("100 ports are in use")
