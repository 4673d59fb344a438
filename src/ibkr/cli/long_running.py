"""What all commands that run until Ctrl-C share: stop signals, servers, logging to stderr, the command for alerts."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

import typer

from ibkr.core.errors import ConfigError
from ibkr.core.serialization import to_printable
from ibkr.observe.log_filter import PrintableFormatter

if TYPE_CHECKING:
    from ibkr.observe.command_sink import CommandSink


def call_on_stop(stop: Callable[[], object]) -> None:
    """Call ``stop`` in the running event loop on Ctrl-C, and on SIGTERM where the system has it."""
    loop = asyncio.get_running_loop()
    if sys.platform == "win32":  # on Windows, a signal handler cannot wake the loop by itself
        signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(stop))
    else:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)


def run_server(
    server: AbstractAsyncContextManager[Any], on_started: Callable[[], None], failure: str, cure: str
) -> None:
    """Run a server until Ctrl-C or SIGTERM.

    Args:
        server: Listens inside its ``async with`` block.
        on_started: Called in the event loop when the server listens.
        failure: What to print if the server cannot start. The exit code is then 1.
        cure: What to do if it cannot use the port.
    """

    async def run() -> None:
        stopping = asyncio.Event()
        call_on_stop(stopping.set)
        async with contextlib.AsyncExitStack() as running:
            try:
                await running.enter_async_context(server)
            except CANNOT_LISTEN as error:
                typer.echo(f"{to_printable(failure)}: {why_not_listening(error, cure)}", err=True)
                raise typer.Exit(1) from error
            on_started()
            typer.echo("Press Ctrl-C to stop.", err=True)
            await stopping.wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())


CANNOT_LISTEN = (OSError, UnicodeError)
"""What a server raises if it cannot listen at its address. Python reports some impossible names as UnicodeError."""


def why_not_listening(error: Exception, cure: str) -> str:
    """Return why a server cannot listen, and what to do: ``cure``, unless the address is wrong."""
    number = getattr(error, "errno", None)
    # Since Python 3.14, asyncio skips addresses that this computer does not have, and then raises an error of its own.
    is_foreign = number == errno.EADDRNOTAVAIL or (number is None and isinstance(error, OSError))
    if is_foreign or isinstance(error, (socket.gaierror, UnicodeError)):
        cure = "This machine does not have that address: use one of its own, such as 127.0.0.1."
    return f"{getattr(error, 'strerror', None) or error}\n{cure}"


def log_to_stderr(logger_name: str, level: int = logging.INFO) -> None:
    """Print this logger's records on stderr with the time, and nowhere else."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    logger = logging.getLogger(logger_name)
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False


def make_command_sink(
    command: str, setting: str = "gateway.on_alert", after: float = 5.0, apart: float = 60.0, *, show_accounts: bool
) -> CommandSink:
    """Return a sink that runs the user's command on outage, alert and recovery.

    Args:
        command: The command line.
        setting: The name of the setting, for the error.
        after: Seconds that an outage must last.
        apart: Seconds between two outages that are reported.
        show_accounts: Whether the command gets account ids unmasked.

    Raises:
        ConfigError: The command cannot be run.
    """
    from ibkr.observe.command_sink import CommandSink

    try:
        sink = CommandSink(command, after=after, apart=apart, show_accounts=show_accounts)
    except ValueError as error:
        raise ConfigError(setting, command, str(error)) from error
    # Fail at the start, not at the first outage. On Windows, the command is not split.
    if sys.platform != "win32" and shutil.which(shlex.split(command)[0]) is None:
        raise ConfigError(setting, command, "no such program, or you may not run it: give its full path")
    return sink
