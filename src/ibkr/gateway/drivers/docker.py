"""The driver ``docker``: a container, by its name, through the command ``docker`` or a similar one.

The login is read from IBC's lines in the container's log: the usual image, ib-gateway-docker, contains IBC. Docker does
not restart a container that hangs.
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

from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import ENDED_IN_ORDER, clean_text, full_exit_code
from ibkr.core.gateway_tracker import GatewayEvent, PastEvents, ProcessEnded, ProcessStarted
from ibkr.gateway.driver_interface import DriverError, DriverProblem, GatewayDriver
from ibkr.gateway.gateway_store import GatewayStore
from ibkr.gateway.ibc_command_client import send_command
from ibkr.gateway.ibc_log import IbcLogParser
from ibkr.gateway.processes import cancel_tasks, run_command, stream_lines

_log = logging.getLogger("ibkr.gateway")

_COMMAND_TIMEOUT = 30.0
_RETRY_AFTER = 2.0
_FORMAT = '{"state":{{json .State}},"policy":{{json .HostConfig.RestartPolicy}}}'
_STOP_SIGNALS = ("2", "15")


@dataclass(frozen=True, slots=True)
class _Container:
    """The answer of ``docker inspect``."""

    is_running: bool
    pid: int | None
    started: str
    exit_code: int
    has_restart_policy: bool


class DockerDriver(GatewayDriver):
    """Runs one container. Secrets are in the container's environment or secret files."""

    sees_login: ClassVar[bool] = True

    def __init__(self, settings: GatewaySettings, store: GatewayStore) -> None:
        super().__init__(settings, store)
        self._name = settings.container
        self._is_stop_signalled = False
        self._is_restarting = False
        self._last_warning = ""

    @property
    def has_command_server(self) -> bool:
        return self.settings.command_port > 0

    async def start(self) -> None:
        await self._run_checked("start", self._name)

    async def stop(self) -> None:
        await self._run_checked("stop", "-t", f"{self.settings.stop_grace:.0f}", self._name)

    async def restart(self) -> None:
        self._is_restarting = True
        try:
            await self._run_checked("restart", "-t", f"{self.settings.stop_grace:.0f}", self._name)
        except DriverError:
            self._is_restarting = False
            raise

    async def send(self, command: str) -> str:
        if not self.has_command_server:
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
                        await watching  # the watch ends only with an error
                    yield getting.result()
                finally:
                    getting.cancel()
        finally:
            await cancel_tasks(watching)

    async def log(self, lines: int, *, follow: bool) -> AsyncIterator[str]:
        # The container's stderr is part of its log, and cannot be distinguished from an error of Docker itself. So
        # request no lines of the log: then only an error of Docker is reported.
        await self._run_checked("logs", "--tail", "0", self._name)
        words = [self.settings.docker, "logs", "--tail", str(lines), *(["--follow"] if follow else []), self._name]
        async with aclosing(stream_lines(words, check_exit=True)) as output:
            async for line in output:
                yield line

    async def problems(self) -> list[DriverProblem]:
        if shutil.which(self.settings.docker) is None:
            message = f"gateway.docker: there is no program {self.settings.docker}, or it may not be run"
            return [DriverProblem(message, "Install Docker, or name the command that you use instead.")]
        try:
            found = await self._inspect()
        except DriverError as error:
            return [DriverProblem(str(error), "Start Docker, and see that this user may use it.")]
        if found is None:
            message = f"gateway.container: there is no container {self._name}"
            return [
                DriverProblem(message, "Make it (docker compose up -d), or correct its name: 'docker ps -a' lists all.")
            ]
        return []

    async def _run_checked(self, *words: str) -> None:
        done = await run_command([self.settings.docker, *words], _COMMAND_TIMEOUT + self.settings.stop_grace)
        if done.code:
            raise DriverError(f"'{self.settings.docker} {words[0]}' failed: {clean_text(done.err or done.out)}")

    async def _inspect(self) -> _Container | None:
        """Return the state of the container; ``None`` if it does not exist. Raises ``DriverError`` if Docker fails."""
        words = [self.settings.docker, "inspect", "--type", "container", "--format", _FORMAT, self._name]
        done = await run_command(words, _COMMAND_TIMEOUT)
        if done.code:
            if "no such" in done.err.lower():
                return None
            raise DriverError(f"'{self.settings.docker} inspect' failed: {clean_text(done.err or done.out)}")
        try:
            answer = json.loads(done.out)
            state, policy = answer["state"], answer["policy"].get("Name", "no")
            found = _Container(
                bool(state["Running"]),
                int(state.get("Pid") or 0) or None,
                str(state.get("StartedAt", "")),
                int(state.get("ExitCode") or 0),
                policy in ("always", "unless-stopped", "on-failure"),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DriverError(f"'{self.settings.docker} inspect' answers in a form that we do not know") from error
        self.external_restart_on_exit = found.has_restart_policy
        return found

    async def _watch(self, queue: asyncio.Queue[GatewayEvent]) -> None:
        """Follow the container. Continue after each restart of Docker itself."""
        while True:
            try:
                await self._follow(queue)
                raise DriverError(f"'{self.settings.docker} events' has ended")
            except DriverError as error:
                if str(error) != self._last_warning:
                    self._last_warning = str(error)
                    _log.warning("The container %s cannot be watched at the moment: %s", self._name, error)
            await asyncio.sleep(_RETRY_AFTER)

    async def _follow(self, queue: asyncio.Queue[GatewayEvent]) -> None:
        # Ask for all events from now on. Otherwise an event between the first inspection and the start of the stream
        # would be missed.
        words = [self.settings.docker, "events", "--since", f"{time.time():.6f}", "--filter", "type=container"]
        words += ["--filter", f"container={self._name}", "--format", "{{json .}}"]
        logs: asyncio.Task[None] | None = None
        async with aclosing(stream_lines(words)) as stream:
            try:
                coming = asyncio.ensure_future(anext(stream, None))
                logs = await self._report_container(queue)
                while (line := await coming) is not None:
                    logs = await self._handle_docker_event(line, logs, queue)
                    coming = asyncio.ensure_future(anext(stream, None))
            finally:
                await cancel_tasks(coming, logs)

    async def _report_container(self, queue: asyncio.Queue[GatewayEvent]) -> asyncio.Task[None] | None:
        """Report the state of the container, and start to read its log from the container's start."""
        found = await self._inspect()
        if found is None:
            queue.put_nowait(ProcessEnded(wanted=True))
        elif found.is_running:
            self._last_warning, self._is_restarting = "", False
            queue.put_nowait(ProcessStarted(found.pid, _parse_time(found.started)))
            return asyncio.create_task(self._read_log(found.started, queue))
        elif _parse_time(found.started) is not None:
            code = full_exit_code(found.exit_code)
            queue.put_nowait(ProcessEnded(code, wanted=code in ENDED_IN_ORDER))
        return None

    async def _handle_docker_event(
        self, line: str, logs: asyncio.Task[None] | None, queue: asyncio.Queue[GatewayEvent]
    ) -> asyncio.Task[None] | None:
        """Process one line of ``docker events``."""
        try:
            event: dict[str, Any] = json.loads(line)
            action = str(event.get("Action") or event.get("status"))
            attributes: dict[str, str] = event.get("Actor", {}).get("Attributes", {})
        except (ValueError, AttributeError):
            raise DriverError(f"'{self.settings.docker} events' says: {clean_text(line)}") from None
        if action == "kill":
            self._is_stop_signalled = attributes.get("signal") in _STOP_SIGNALS
        elif action == "start":
            self._is_stop_signalled = False
            await cancel_tasks(logs)
            return await self._report_container(queue)
        elif action == "die" and not self._is_restarting:
            code = attributes.get("exitCode", "")
            full = full_exit_code(int(code)) if code.isdecimal() else None
            queue.put_nowait(ProcessEnded(full, wanted=self._is_stop_signalled))
        return logs

    async def _read_log(self, since: str, queue: asyncio.Queue[GatewayEvent]) -> None:
        """Report IBC's events since the start: first all events of the old lines together, then each new event."""
        reader = IbcLogParser()
        past: list[GatewayEvent] = []
        last = ""
        async for at, text in self._timed_lines("--since", since):
            past += reader.parse(text, _parse_time(at))
            last = at
        queue.put_nowait(PastEvents(tuple(past)))
        async for at, text in self._timed_lines("--since", last or since, "--follow"):
            for event in reader.parse(text, _parse_time(at)) if at > last else ():
                queue.put_nowait(event)

    async def _timed_lines(self, *options: str) -> AsyncIterator[tuple[str, str]]:
        """Yield the lines of the log, each with its time in UTC."""
        words = [self.settings.docker, "logs", "--timestamps", *options, self._name]
        async with aclosing(stream_lines(words)) as output:
            async for line in output:
                at, _, text = line.partition(" ")
                yield at, text


def _parse_time(text: str) -> datetime | None:
    """Parse a time from Docker, which has nine decimals of a second; ``None`` if the time is not set or invalid."""
    head, dot, rest = text.partition(".")
    digits = rest.rstrip("Zz") if dot else ""
    try:
        found = datetime.fromisoformat(f"{head}.{digits[:6]}+00:00" if dot else text)
    except ValueError:
        return None
    return found if found.tzinfo is not None and found.year > 1 else None
