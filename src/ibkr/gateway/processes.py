"""Processes: start one that outlives us, know it again, end it with all that it has started, run a command to its end.

A gateway is several processes: a script, its java, and what they start. They form a group, and are ended as one.
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

from ibkr.gateway.driver import POLL, DriverError

_LOG_LIMIT = 10 * 1024 * 1024
_OUTPUT_LIMIT = 64 * 1024
_LINE_LIMIT = 1024 * 1024

# A group of its own, so that it gets no Ctrl-C of ours, and can be ended as a whole.
if sys.platform == "win32":
    _SESSION, _FLAGS = False, subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
else:
    _SESSION, _FLAGS = True, 0

Command = Sequence[str] | str


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended: its exit code, and the begin of what it printed."""

    code: int
    out: str
    err: str


def split_command(text: str) -> Command:
    """A command of the configuration as the system starts it; no shell is involved."""
    return text.strip() if sys.platform == "win32" else shlex.split(text)


def spawn(command: Command, log: Path) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own; its output is appended to the log. Raises ``DriverError``."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        os.replace(log, log.with_suffix(".log.1"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    output = os.open(log, flags, 0o600)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=_SESSION,
            creationflags=_FLAGS,
        )
    except OSError as error:
        raise DriverError(f"{program_of(command)} cannot be started: {error.strerror or error}") from error
    finally:
        os.close(output)


async def run(command: Command, timeout: float, **variables: str) -> Finished:  # noqa: ASYNC109 - the process is ended, not the wait
    """Run a command to its end, with these environment variables besides ours.

    Raises ``DriverError`` if it cannot be started or does not end in time.
    """
    if isinstance(command, str):  # of Windows, whose programs split their command line themselves
        return await asyncio.to_thread(_run_text, command, timeout)
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            env=os.environ | variables,
            start_new_session=_SESSION,
            creationflags=_FLAGS,
        )
    except OSError as error:
        raise DriverError(f"{program_of(command)} cannot be started: {error.strerror or error}") from error
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate()
    except TimeoutError as error:
        raise DriverError(f"{program_of(command)} has not ended after {timeout:.0f} s") from error
    finally:
        if process.returncode is None:
            kill_group(process.pid)
            await process.wait()
    return Finished(process.returncode or 0, _text(out), _text(err))


async def lines_of(command: Sequence[str]) -> AsyncGenerator[str]:
    """What a command prints, line by line, until it ends or the generator is closed.

    Raises ``DriverError`` if it cannot be started.
    """
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_LIMIT,
            start_new_session=_SESSION,
            creationflags=_FLAGS,
        )
    except OSError as error:
        raise DriverError(f"{program_of(command)} cannot be started: {error.strerror or error}") from error
    assert process.stdout is not None, "it is a pipe"
    try:
        while True:
            try:
                raw = await process.stdout.readline()
            except ValueError:  # a line beyond the limit: dropped
                continue
            if not raw:
                return
            yield raw.decode(errors="replace").rstrip("\r\n")
    finally:
        if process.returncode is None:
            kill_group(process.pid)
        await process.wait()


def program_of(command: Command) -> str:
    """The name of the program alone: its arguments may hold what must not be shown."""
    first = command.split()[0] if isinstance(command, str) else command[0]
    return Path(first.strip('"')).name


async def end(pid: int, began: str, grace: float) -> None:
    """End a process and its group: ask, wait for ``grace`` seconds, then kill."""
    if not began or identity(pid) != began:
        return
    ask_group(pid)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace
    while identity(pid) == began:
        if loop.time() >= deadline:
            kill_group(pid)
            deadline = loop.time() + grace
        await asyncio.sleep(POLL / 4)
    kill_group(pid)  # what the first has started and left behind


def ask_group(pid: int) -> None:
    """Ask a process of ours and its children to end; on Windows there is no such question, they are ended."""
    if sys.platform == "win32":
        kill_group(pid)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """End a process of ours and its children at once."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(pid)], capture_output=True, check=False)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def identity(pid: int) -> str:
    """What tells a running process from another that gets its number later; empty if none runs."""
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


def _run_text(command: str, seconds: float) -> Finished:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    except OSError as error:
        raise DriverError(f"{program_of(command)} cannot be started: {error.strerror or error}") from error
    except subprocess.TimeoutExpired as error:
        raise DriverError(f"{program_of(command)} has not ended after {seconds:.0f} s") from error
    return Finished(done.returncode, _text(done.stdout), _text(done.stderr))


def _text(output: bytes) -> str:
    return output[:_OUTPUT_LIMIT].decode(errors="replace")
