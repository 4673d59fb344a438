"""A driver whose gateway is a process of ours: started, followed and ended by us, and found by the next supervisor.

Its output goes to a file and not to a pipe: the gateway lives on if its supervisor dies, and the next one reads on.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import ClassVar

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_tracker import GatewayEvent, ProcessEnded, ProcessStarted
from ibkr.gateway.driver import POLL, Driver, DriverError
from ibkr.gateway.ibc_log import latest
from ibkr.gateway.log_file import LogFile, last_lines
from ibkr.gateway.processes import Command, end, identity, spawn
from ibkr.gateway.store import GatewayStore


class OwnProcessDriver(Driver):
    """Base of the drivers ``command`` and ``ibc``."""

    owns_process: ClassVar[bool] = True

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        super().__init__(settings, store)
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._began = ""
        self._started_at: datetime | None = None
        self._is_wanted = False
        self._is_past = False
        """What the log tells next was written before we looked."""
        self._log = LogFile(store.log)
        self._find()

    @abstractmethod
    def command(self) -> Command:
        """What starts the gateway."""

    def read(self, line: str) -> Iterable[GatewayEvent]:
        """The events that a line of the log tells of."""
        return ()

    def exit_code(self, code: int) -> int:
        """The exit code as the gateway meant it."""
        return code

    async def start(self) -> None:
        if await self.is_running():
            return
        self.store.make_folder()
        self._log.skip_to_end()
        self._child = spawn(self.command(), self.store.log)
        self._pid, self._began = self._child.pid, identity(self._child.pid)
        self._started_at, self._is_wanted = datetime.now(UTC), True
        self._remember()

    async def stop(self) -> None:
        self._is_wanted = False
        await self._end()

    async def restart(self) -> None:
        await self._end()
        await self.start()

    async def _end(self) -> None:
        if await self.ask_to_stop():
            await self._wait_for_end()
        if self._pid is not None:
            await end(self._pid, self._began, self.settings.stop_grace)
        self._reap()

    async def ask_to_stop(self) -> bool:
        """Have the gateway end in good order, before its process is ended. Returns whether it was asked."""
        return False

    async def is_running(self) -> bool:
        return self._pid is not None and self._is_alive()

    async def events(self) -> AsyncIterator[GatewayEvent]:
        told: tuple[int, str] | None = None
        while True:
            # In this order: what the new process writes must not be taken for the old one's.
            if told is not None and told != (self._pid, self._began):
                told = None
                yield ProcessEnded(wanted=not self._is_wanted)
            if told is None and self._pid is not None:
                told = self._pid, self._began
                yield ProcessStarted(self._pid, self._started_at)
            is_alive = self._is_alive()
            for event in self._new_events():
                yield event
            if told is not None and not is_alive:
                told = None
                yield self._ended()
            await asyncio.sleep(POLL)

    def _new_events(self) -> list[GatewayEvent]:
        found = [event for line in self._log.new_lines() for event in self.read(line)]
        is_past, self._is_past = self._is_past, False
        return latest(found) if is_past else found

    async def log(self, lines: int, *, follow: bool) -> AsyncIterator[str]:
        for line in last_lines(self.store.log, lines):
            yield line
        file = LogFile(self.store.log)
        file.skip_to_end()
        while follow:
            for line in file.new_lines():
                yield line
            await asyncio.sleep(POLL)

    async def close(self) -> None:
        self._reap()

    async def _wait_for_end(self) -> None:
        """Give it ``stop_grace`` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.stop_grace
        while self._is_alive() and loop.time() < deadline:  # noqa: ASYNC110 - its end sets no event
            await asyncio.sleep(POLL / 4)

    def _is_alive(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return self._pid is not None and identity(self._pid) == self._began

    def _ended(self) -> ProcessEnded:
        code = self._child.returncode if self._child is not None else None
        self._child = self._pid = None
        self.store.process_file.unlink(missing_ok=True)
        return ProcessEnded(code if code is None else self.exit_code(code), wanted=not self._is_wanted)

    def _reap(self) -> None:
        if self._child is not None:
            self._child.poll()

    def _remember(self) -> None:
        """Note which process is ours, and where its output begins."""
        assert self._started_at is not None, "it has just been started"
        values = {
            "pid": self._pid,
            "began": self._began,
            "started_at": self._started_at.isoformat(),
            "log_offset": self._log.offset,
        }
        self.store.process_file.write_text(json.dumps(values), encoding="utf-8")

    def _find(self) -> None:
        """Take up the process of an earlier supervisor, if it still runs."""
        try:
            values = json.loads(self.store.process_file.read_text(encoding="utf-8"))
            pid, began, offset = int(values["pid"]), str(values["began"]), int(values["log_offset"])
            started_at = datetime.fromisoformat(values["started_at"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DriverError(f"{self.store.process_file} cannot be read ({error}): remove it") from error
        if began and identity(pid) == began:
            self._pid, self._began, self._started_at, self._is_wanted = pid, began, started_at, True
            self._log.offset, self._is_past = offset, True
        else:  # what it wrote is of the past
            self._log.skip_to_end()
