"""Starts and ends process groups, recognizes a process by more than its number, and runs commands.

A gateway is several processes: a script, its Java process, and what they start. They form one group and are ended
together.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibkr.gateway.driver_interface import POLL_INTERVAL, DriverError
from ibkr.gateway.store_errors import store_error_text
from ibkr.observe.command_sink import child_environment

_OUTPUT_LIMIT = 64 * 1024
_LINE_LIMIT = 1024 * 1024

# Start each command in its own process group: our Ctrl-C does not reach the group, and all its processes can be ended
# together.
if sys.platform == "win32":
    _NEW_SESSION, _FLAGS = False, subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
else:
    _NEW_SESSION, _FLAGS = True, 0

Command = Sequence[str] | str


@dataclass(frozen=True, slots=True)
class CommandResult:
    """A command that has ended: its exit code and the beginning of its output."""

    code: int
    out: str
    err: str


def split_command(text: str) -> Command:
    """Split a command of the configuration into arguments. No shell is involved."""
    return text.strip() if sys.platform == "win32" else shlex.split(text)


def spawn(command: Command, log: Path) -> subprocess.Popen[bytes]:
    """Start a process in its own group, and append its output to the log. Raises ``DriverError`` if this fails."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        output = os.open(log, flags, 0o600)
    except OSError as error:
        raise DriverError(store_error_text(error)) from error
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_environment(),
            start_new_session=_NEW_SESSION,
            creationflags=_FLAGS,
        )
    except OSError as error:
        raise DriverError(f"{program_name(command)} cannot be started: {error.strerror or error}") from error
    finally:
        os.close(output)


async def run_command(command: Command, timeout: float, **variables: str) -> CommandResult:  # noqa: ASYNC109 - it also ends the process
    """Run a command until it ends, with these additional environment variables.

    Raises:
        DriverError: The command cannot be started or does not end in time.
    """
    if isinstance(command, str):  # on Windows, the command is one text; the started program splits it
        return await asyncio.to_thread(_run_text, command, timeout)
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            env=child_environment(**variables),
            start_new_session=_NEW_SESSION,
            creationflags=_FLAGS,
        )
    except OSError as error:
        raise DriverError(f"{program_name(command)} cannot be started: {error.strerror or error}") from error
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except TimeoutError as error:
        raise DriverError(f"{program_name(command)} has not ended after {timeout:.0f} s") from error
    finally:
        if process.returncode is None:
            kill_group(process.pid)
            await process.wait()
    return CommandResult(process.returncode or 0, _text(out), _text(err))


async def stream_lines(command: Sequence[str], *, check_exit: bool = False) -> AsyncGenerator[str]:
    """Yield the lines that a command prints, until it ends or the generator is closed.

    Raises:
        DriverError: The command cannot be started. With ``check_exit``, also if its exit code is not 0.
    """
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
            env=child_environment(),
            limit=_LINE_LIMIT,
            start_new_session=_NEW_SESSION,
            creationflags=_FLAGS,
        )
    except OSError as error:
        raise DriverError(f"{program_name(command)} cannot be started: {error.strerror or error}") from error
    assert process.stdout is not None, "it is a pipe"
    try:
        while True:
            try:
                raw = await process.stdout.readline()
            except ValueError:  # the line is too long: drop it
                continue
            if not raw:
                break
            yield raw.decode(errors="replace").rstrip("\r\n")
        if check_exit and (code := await process.wait()):
            name = program_name(command)
            raise DriverError(f"{name} has failed with exit code {code}: the log above may be incomplete")
    finally:
        if process.returncode is None:
            kill_group(process.pid)
        await process.wait()


async def cancel_tasks(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel these tasks, and wait until they have ended. Their exceptions are dropped."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def program_name(command: Command) -> str:
    """Return the name of the program without its arguments, which may contain secrets."""
    first = command.split()[0] if isinstance(command, str) else command[0]
    return Path(first.strip('"')).name


async def terminate_process(pid: int, identity: str, grace: float) -> None:
    """End a process and its group: SIGTERM, then after ``grace`` seconds SIGKILL. Its children can end later."""
    if not identity or process_identity(pid) not in (identity, ""):
        return
    terminate_group(pid)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace
    while process_identity(pid) == identity:
        if loop.time() >= deadline:
            kill_group(pid)
            deadline = loop.time() + grace
        await asyncio.sleep(POLL_INTERVAL / 4)
    kill_group(pid)  # end the children that the process has not ended


def terminate_group(pid: int) -> None:
    """Ask our own process and its children to end. On Windows they are killed, because they cannot be asked."""
    if sys.platform == "win32":
        kill_group(pid)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """Kill our own process and its children."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def process_identity(pid: int) -> str:
    """Return text that distinguishes a process from a later process with the same number; empty if no process runs."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in "ZX" else fields[19]
    elif sys.platform == "win32":
        found = _first_line(["tasklist", "/FI", f"PID eq {pid}", "/NH", "/FO", "CSV"])
        return found.partition(",")[0] if f'"{pid}"' in found else ""
    else:
        return _first_line(["ps", "-o", "lstart=", "-p", str(pid)])


def _first_line(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip().partition("\n")[0]


def _run_text(command: str, seconds: float) -> CommandResult:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env=child_environment(),
            check=False,
        )
    except OSError as error:
        raise DriverError(f"{program_name(command)} cannot be started: {error.strerror or error}") from error
    except subprocess.TimeoutExpired as error:
        raise DriverError(f"{program_name(command)} has not ended after {seconds:.0f} s") from error
    return CommandResult(done.returncode, _text(done.stdout), _text(done.stderr))


def _text(output: bytes) -> str:
    return output[:_OUTPUT_LIMIT].decode(errors="replace")
