"""How a command that runs on is told to end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable


def call_on_stop(stop: Callable[[], object]) -> None:
    """Call ``stop`` in the running loop at Ctrl-C, and at SIGTERM where there is one."""
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":  # there, a signal handler cannot wake the loop by itself
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(stop))
    else:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
