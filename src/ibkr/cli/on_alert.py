"""The command of the user's that is run on outage, alert and recovery."""

from __future__ import annotations

import shlex
import shutil
import sys
from typing import TYPE_CHECKING

from ibkr.core.errors import ConfigError

if TYPE_CHECKING:
    from ibkr.observe.command import CommandSink


def alert_sink(
    command: str, key: str = "gateway.on_alert", after: float = 5.0, apart: float = 60.0, *, show_accounts: bool
) -> CommandSink:
    """A sink that runs the command. Raises ``ConfigError`` for ``key`` if it cannot be run."""
    from ibkr.observe.command import CommandSink

    try:
        sink = CommandSink(command, after=after, apart=apart, show_accounts=show_accounts)
    except ValueError as error:
        raise ConfigError(key, command, str(error)) from error
    # Told now, not in the night; a program of Windows is found by rules of its own, in the command line as a whole.
    if sys.platform != "win32" and shutil.which(shlex.split(command)[0]) is None:
        raise ConfigError(key, command, "no such program, or it may not be run: give its full path")
    return sink
