"""How a command that runs on is told to end."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable


def call_on_stop(stop: Callable[[], object]) -> None:
    """Call ``stop`` in the running loop at Ctrl-C and SIGTERM. On Windows Ctrl-C raises ``KeyboardInterrupt``."""
    if sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
