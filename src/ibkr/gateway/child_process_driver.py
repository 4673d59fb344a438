"""Base class of the drivers that start the gateway themselves: ``command`` and ``ibc``.

The gateway's output goes to a file, not to a pipe. The gateway therefore survives the death of its supervisor, and
the next supervisor finds the process and continues to read the file.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_tracker import GatewayEvent, PastEvents, ProcessEnded, ProcessStarted
from ibkr.gateway.disk_files import replace_file
from ibkr.gateway.driver_interface import POLL_INTERVAL, DriverError, GatewayDriver
from ibkr.gateway.gateway_store import GatewayStore
from ibkr.gateway.log_tail import LogTail, follow_file, rotate_log
from ibkr.gateway.processes import Command, process_identity, spawn, terminate_process
from ibkr.gateway.store_errors import store_error_text

_log = logging.getLogger("ibkr.gateway")


class ChildProcessDriver(GatewayDriver):
    """Starts, watches and ends a gateway that is our own process."""

    owns_process: ClassVar[bool] = True

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        super().__init__(settings, store)
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._identity = ""
        self._started_at: datetime | None = None
        self._should_run = False
        self._is_restarting = False
        self._reads_backlog = False
        """The next lines of the log were written before this object existed."""
        self._log = LogTail(store.log, keeps_open=True)
        self._log_start = 0
        self._adopt_process()

    @abstractmethod
    def start_command(self) -> Command:
        """Return the command that starts the gateway."""

    def parse_log_line(self, line: str) -> Iterable[GatewayEvent]:
        """Return the events that a line of the log reports."""
        return ()

    def translate_exit_code(self, code: int | None) -> int | None:
        """Translate the exit code of the process into the gateway's own exit code. ``None`` is an unknown code."""
        return code

    async def start(self) -> None:
        if await self.is_running():
            return
        self._log.close()  # Windows does not rename an open file
        self._log.path = self._prepare_log()
        self._log.skip_to_end()
        self._log_start = self._log.offset
        self._reads_backlog = False
        self._child = spawn(self.start_command(), self._log.path)
        self._pid, self._identity = self._child.pid, process_identity(self._child.pid)
        self._started_at, self._should_run = datetime.now(UTC), True
        try:
            self.save_process()
        except OSError as error:  # the process must be watched anyway; the supervisor tries to save again
            _log.debug("%s", error)

    def _prepare_log(self) -> Path:
        """Return the file for the output: the log, or a temporary file if the log cannot be written."""
        try:
            self.store.make_folder()
            rotate_log(self.store.log)
            os.close(os.open(self.store.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        except OSError as error:
            path = _temporary_log()
            _log.error("the output of the gateway goes to %s: %s", path, store_error_text(error))
            return path
        return self.store.log

    async def stop(self) -> None:
        self._should_run = False
        await self._end_process()
        try:
            self.store.process_file.unlink(missing_ok=True)
        except OSError as error:  # because of this file, the next supervisor would report an unwanted end
            words = f"({error.strerror}): remove it"
            _log.error("the gateway is stopped, but %s cannot be removed %s", self.store.process_file, words)

    async def restart(self) -> None:
        self._is_restarting = True
        try:
            await self.restart_process()
        finally:
            self._is_restarting = False
            if not self._is_alive():
                self._child = self._pid = None  # do not report the end of the process: the caller has ended it

    async def restart_process(self) -> None:
        """End the process and start it again. Raises ``DriverError`` if the start fails."""
        await self._end_process()
        await self.start()

    async def _end_process(self) -> None:
        try:
            if await self.request_stop():
                await self._wait_for_end()
        except DriverError as error:
            _log.warning("%s: the process is ended instead", error)
        if self._pid is not None:
            await terminate_process(self._pid, self._identity, self.settings.stop_grace)
        self._reap()

    async def request_stop(self) -> bool:
        """Ask the gateway to end itself, before its process is ended. Returns whether it was asked.

        Raises:
            DriverError: The gateway could not be asked.
        """
        return False

    async def is_running(self) -> bool:
        return self._is_alive()

    async def events(self) -> AsyncIterator[GatewayEvent]:
        try:
            async with aclosing(self._watch()) as events:
                async for event in events:
                    yield event
        finally:
            self._log.close()

    async def _watch(self) -> AsyncGenerator[GatewayEvent]:
        reported: tuple[int, str] | None = None
        has_ended = True
        while True:
            found: list[GatewayEvent] = []
            # Keep this order: lines of the new process must not be attributed to the old process.
            if self._pid is not None and reported != (self._pid, self._identity):
                reported, has_ended = (self._pid, self._identity), False
                found.append(ProcessStarted(self._pid, self._started_at))
            is_alive = self._is_alive()
            found += [event for line in self._log.new_lines() for event in self.parse_log_line(line)]
            if self._pid is not None and not has_ended and not is_alive and not self._is_restarting:
                has_ended = True
                found.append(self._exit_event())
            is_past, self._reads_backlog = self._reads_backlog, False
            for event in [PastEvents(tuple(found))] if is_past else found:
                yield event
            await asyncio.sleep(POLL_INTERVAL)

    async def log(self, lines: int, *, follow: bool) -> AsyncIterator[str]:
        async for line in follow_file(self._log.path, lines, POLL_INTERVAL if follow else None):
            yield line

    async def close(self) -> None:
        self._reap()

    async def _wait_for_end(self) -> None:
        """Wait for the end of the process, at most ``stop_grace`` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.stop_grace
        while self._is_alive() and loop.time() < deadline:  # noqa: ASYNC110 - the end of the process sets no event
            await asyncio.sleep(POLL_INTERVAL / 4)

    def _is_alive(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return self._pid is not None and self._identity != "" and process_identity(self._pid) == self._identity

    def _exit_event(self) -> ProcessEnded:
        code = self._child.returncode if self._child is not None else None
        return ProcessEnded(self.translate_exit_code(code), wanted=not self._should_run)

    def _reap(self) -> None:
        if self._child is not None:
            self._child.poll()

    def save_process(self) -> None:
        """Save our process and where its output begins, if they are not saved yet. Raises ``OSError`` if this fails."""
        if self._pid is None or not self._should_run or (self._child is None and not self._identity):
            return
        assert self._started_at is not None, "it has been started"
        values = {
            "pid": self._pid,
            "began": self._identity,
            "started_at": self._started_at.isoformat(),
            "log": str(self._log.path),
            "log_offset": self._log_start,
        }
        text = json.dumps(values)
        if not self._is_saved(text):
            self.store.make_folder()
            replace_file(self.store.process_file, text)

    def _is_saved(self, text: str) -> bool:
        try:
            return self.store.process_file.read_text(encoding="utf-8") == text
        except (FileNotFoundError, ValueError):
            return False

    def _adopt_process(self) -> None:
        """Adopt the process of an earlier supervisor, even if it has ended: then nobody has stopped it on purpose."""
        self._log.skip_to_end()
        try:
            values = json.loads(self.store.process_file.read_text(encoding="utf-8"))
            pid, began, offset = int(values["pid"]), str(values["began"]), int(values["log_offset"])
            started_at = datetime.fromisoformat(values["started_at"])
            if offset < 0 or started_at.tzinfo is None:
                raise ValueError("it has a value that ibkr never writes there")
        except FileNotFoundError:
            return
        except OSError as error:
            raise DriverError(store_error_text(error)) from error
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise DriverError(f"{self.store.process_file} cannot be read ({error}): remove it") from error
        self._pid, self._started_at, self._should_run = pid, started_at, True
        # If the identity is empty, no process is ended: the process id may now belong to another process.
        self._identity = began if process_identity(pid) == began else ""
        self._log.path = Path(str(values.get("log") or self.store.log))
        self._log.offset = self._log_start = offset
        self._reads_backlog = True


def _temporary_log() -> Path:
    """Return a new file that only this user may read. Raises ``DriverError`` if it cannot be created."""
    try:
        handle, name = tempfile.mkstemp(prefix="ibkr-gateway-", suffix=".log")
    except OSError as error:
        raise DriverError(f"the output of the gateway cannot be written: {store_error_text(error)}") from error
    os.close(handle)
    return Path(name)
