"""A container, by its name, through the command ``docker`` or one like it.

Its login is read from IBC's lines in its log: the usual image, ib-gateway-docker, has IBC inside. Docker does not
restart a container that hangs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from ibkr.core.gateway import ENDED_IN_ORDER, clean_text, full_exit_code
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_tracker import GatewayEvent, ProcessEnded, ProcessStarted
from ibkr.gateway.command_server import send_command
from ibkr.gateway.driver import Driver, DriverError, Problem
from ibkr.gateway.ibc_log import IbcLog, latest
from ibkr.gateway.processes import lines_of, run
from ibkr.gateway.store import GatewayStore

_log = logging.getLogger("ibkr.gateway")

_TAKES = 30.0
_AGAIN = 2.0
_FORMAT = '{"state":{{json .State}},"policy":{{json .HostConfig.RestartPolicy}}}'
_ASKS_TO_END = ("2", "15")


@dataclass(frozen=True, slots=True)
class _Container:
    """What ``docker inspect`` tells."""

    is_running: bool
    pid: int | None
    started: str
    exit_code: int
    heals: bool


class DockerDriver(Driver):
    """Drives one container. Secrets are in its own environment or secret files."""

    sees_login: ClassVar[bool] = True

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        super().__init__(settings, store)
        self._name = settings.container
        self._is_told_to_end = False
        self._is_restarting = False
        self._complaint = ""

    @property
    def has_commands(self) -> bool:
        return self.settings.command_port > 0

    async def start(self) -> None:
        await self._ask("start", self._name)

    async def stop(self) -> None:
        await self._ask("stop", "-t", f"{self.settings.stop_grace:.0f}", self._name)

    async def restart(self) -> None:
        self._is_restarting = True
        await self._ask("restart", "-t", f"{self.settings.stop_grace:.0f}", self._name)

    async def send(self, command: str) -> str:
        if not self.has_commands:
            raise DriverError(
                "set gateway.command_port to the port at which the container publishes IBC's command server"
            )
        return await send_command("127.0.0.1", self.settings.command_port, command)

    async def is_running(self) -> bool:
        found = await self._inspect()
        return found is not None and found.is_running

    async def events(self) -> AsyncIterator[GatewayEvent]:
        queue: asyncio.Queue[GatewayEvent] = asyncio.Queue()
        watching = asyncio.create_task(self._watch(queue))
        try:
            while True:
                getting = asyncio.ensure_future(queue.get())
                try:
                    await asyncio.wait({getting, watching}, return_when=asyncio.FIRST_COMPLETED)
                    if not getting.done():
                        await watching  # it has no end but an error
                    yield getting.result()
                finally:
                    getting.cancel()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def log(self, lines: int, *, follow: bool) -> AsyncIterator[str]:
        words = [self.settings.docker, "logs", "--tail", str(lines), *(["--follow"] if follow else []), self._name]
        async with aclosing(lines_of(words)) as output:
            async for line in output:
                yield line

    async def problems(self) -> list[Problem]:
        if shutil.which(self.settings.docker) is None:
            message = f"gateway.docker: there is no program {self.settings.docker}, or it may not be run"
            return [Problem(message, "Install Docker, or name the command that you use instead.")]
        try:
            found = await self._inspect()
        except DriverError as error:
            return [Problem(str(error), "Start Docker, and see that this user may use it.")]
        if found is None:
            message = f"gateway.container: there is no container {self._name}"
            return [Problem(message, "Make it (docker compose up -d), or correct its name: 'docker ps -a' lists all.")]
        return []

    async def _ask(self, *words: str) -> None:
        done = await run([self.settings.docker, *words], _TAKES + self.settings.stop_grace)
        if done.code:
            raise DriverError(f"'{self.settings.docker} {words[0]}' failed: {clean_text(done.err or done.out)}")

    async def _inspect(self) -> _Container | None:
        """The container now; ``None`` if there is none. Raises ``DriverError`` if Docker cannot be asked."""
        words = [self.settings.docker, "inspect", "--type", "container", "--format", _FORMAT, self._name]
        done = await run(words, _TAKES)
        if done.code:
            if "no such" in done.err.lower():
                return None
            raise DriverError(f"'{self.settings.docker} inspect' failed: {clean_text(done.err or done.out)}")
        try:
            told = json.loads(done.out)
            state, policy = told["state"], told["policy"].get("Name", "no")
            found = _Container(
                bool(state["Running"]),
                int(state.get("Pid") or 0) or None,
                str(state.get("StartedAt", "")),
                int(state.get("ExitCode") or 0),
                policy in ("always", "unless-stopped", "on-failure"),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DriverError(f"'{self.settings.docker} inspect' answers in a form that we do not know") from error
        self.heals_exit = found.heals
        return found

    async def _watch(self, queue: asyncio.Queue[GatewayEvent]) -> None:
        """Follow the container through ends of Docker itself."""
        while True:
            try:
                await self._follow(queue)
                raise DriverError(f"'{self.settings.docker} events' has ended")
            except DriverError as error:
                if str(error) != self._complaint:
                    self._complaint = str(error)
                    _log.warning("The container %s cannot be watched just now: %s", self._name, error)
            await asyncio.sleep(_AGAIN)

    async def _follow(self, queue: asyncio.Queue[GatewayEvent]) -> None:
        # Since now: nothing is missed between this look and the moment when the stream is open.
        words = [self.settings.docker, "events", "--since", f"{time.time():.6f}", "--filter", "type=container"]
        words += ["--filter", f"container={self._name}", "--format", "{{json .}}"]
        logs: asyncio.Task[None] | None = None
        async with aclosing(lines_of(words)) as stream:
            try:
                coming = asyncio.ensure_future(anext(stream, None))
                logs = await self._look(queue)
                while (line := await coming) is not None:
                    logs = await self._take(line, logs, queue)
                    coming = asyncio.ensure_future(anext(stream, None))
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
                await _cancel(logs)

    async def _look(self, queue: asyncio.Queue[GatewayEvent]) -> asyncio.Task[None] | None:
        """Report the state of the container, and read its log from its start on."""
        found = await self._inspect()
        if found is None:
            queue.put_nowait(ProcessEnded(wanted=True))
        elif found.is_running:
            self._complaint = ""
            queue.put_nowait(ProcessStarted(found.pid, _time(found.started)))
            return asyncio.create_task(self._read_log(found.started, queue))
        elif _time(found.started) is not None:
            code = full_exit_code(found.exit_code)
            queue.put_nowait(ProcessEnded(code, wanted=code in ENDED_IN_ORDER))
        return None

    async def _take(
        self, line: str, logs: asyncio.Task[None] | None, queue: asyncio.Queue[GatewayEvent]
    ) -> asyncio.Task[None] | None:
        """One line of ``docker events``."""
        try:
            told: dict[str, Any] = json.loads(line)
            action = str(told.get("Action") or told.get("status"))
            attributes: dict[str, str] = told.get("Actor", {}).get("Attributes", {})
        except (ValueError, AttributeError):
            raise DriverError(f"'{self.settings.docker} events' says: {clean_text(line)}") from None
        if action == "kill":
            self._is_told_to_end = attributes.get("signal") in _ASKS_TO_END
        elif action == "start":
            self._is_told_to_end = self._is_restarting = False
            await _cancel(logs)
            return await self._look(queue)
        elif action == "die":
            code = attributes.get("exitCode", "")
            full = full_exit_code(int(code)) if code.isdecimal() else None
            queue.put_nowait(ProcessEnded(full, wanted=self._is_told_to_end and not self._is_restarting))
        return logs

    async def _read_log(self, since: str, queue: asyncio.Queue[GatewayEvent]) -> None:
        """Events of IBC's lines since the start: what still holds of the past, then each as it comes."""
        reader = IbcLog()
        past: list[GatewayEvent] = []
        last = ""
        async for at, text in self._timed_lines("--since", since):
            past += reader.read(text, _time(at))
            last = at
        for event in latest(past):
            queue.put_nowait(event)
        async for at, text in self._timed_lines("--since", last or since, "--follow"):
            for event in reader.read(text, _time(at)) if at > last else ():
                queue.put_nowait(event)

    async def _timed_lines(self, *options: str) -> AsyncIterator[tuple[str, str]]:
        """The lines of the log, each with its time in UTC."""
        words = [self.settings.docker, "logs", "--timestamps", *options, self._name]
        async with aclosing(lines_of(words)) as output:
            async for line in output:
                at, _, text = line.partition(" ")
                yield at, text


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _time(text: str) -> datetime | None:
    """A time of Docker's, with its nine digits of a second; ``None`` for one that is not set, or is none."""
    head, dot, rest = text.partition(".")
    digits = rest.rstrip("Zz") if dot else ""
    try:
        found = datetime.fromisoformat(f"{head}.{digits[:6]}+00:00" if dot else text)
    except ValueError:
        return None
    return found if found.tzinfo is not None and found.year > 1 else None
