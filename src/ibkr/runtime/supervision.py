"""Supervision: one machine at work in one event loop, what its owner asks of it, and waiting for what comes of that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from ibkr.core.errors import NotReady, connect_error
from ibkr.core.facts import ConnectWanted, DisconnectWanted, Fact, ProbeWanted, ReconnectWanted, RetryWanted
from ibkr.core.machine import Machine
from ibkr.core.state import ConnectionState
from ibkr.core.status import Status
from ibkr.runtime.driver import Driver
from ibkr.runtime.listeners import Listeners

_OVER = (ConnectionState.DISCONNECTED, ConnectionState.FAILED)


class Supervision:
    """What a connector does, in the event loop of its last ``connect``.

    ``loop`` is that loop, None before the first. Every coroutine and every command runs in it; how a caller gets
    there from a plain script or another thread is not decided here.
    """

    def __init__(self, machine: Machine, driver: Driver, listeners: Listeners) -> None:
        self._machine, self._driver, self._listeners = machine, driver, listeners
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def status(self) -> Status:
        """How the connection stands; as of now, where the loop runs."""
        status = self.latest
        if self.loop is not None and self.loop.is_running():
            return replace(status, as_of=datetime.now(UTC))
        return status

    @property
    def latest(self) -> Status:
        """The status; a loop that was closed under a live connection has ended it, and nobody was there to say so."""
        if self.loop is not None and self.loop.is_closed() and not self._machine.is_quiet:
            self._driver.abandon()
        return self._machine.status

    @property
    def is_over(self) -> bool:
        """Whether no connection is wanted, or it was given up."""
        return self.latest.state in _OVER

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is wanted and nothing is left, so that another loop may begin."""
        _ = self.latest
        return self._machine.is_quiet

    async def connect(self, *, wait: bool) -> bool:
        """Connect in the running loop; see ``IBConnector.connect``. Cancelled, it gives up."""
        if self.is_quiet:
            self.loop = asyncio.get_running_loop()
        began = self.is_over
        if began:
            self._driver.crash = None
        self.post(ConnectWanted(None if wait else self._machine.policy.connect_attempts))
        try:
            await self._until(_is_settled)
        except asyncio.CancelledError:
            if began:
                self.post(DisconnectWanted(abort=True))
            raise
        status = self._machine.status  # a callback may have gone on from there
        if status.state is ConnectionState.FAILED:
            raise self._connect_error()
        return status.is_connected

    async def disconnect(self) -> bool:
        """End the connection in good order and wait for the end of its socket; True when that is so."""
        if not self.is_quiet:
            self.post(DisconnectWanted(abort=False))
            await self._driver.quiet()
        return not self.latest.is_connected

    def disconnect_now(self) -> bool:
        """End the socket at once, and every attempt at one; True when that is so."""
        if not self.is_quiet:
            self.post(DisconnectWanted(abort=True))
        return not self.latest.is_connected

    def reconnect(self) -> None:
        """Drop the session and come back now. Raises ``NotReady`` when no connection is wanted."""
        self._command("reconnect()", ReconnectWanted())

    def retry_now(self) -> None:
        """While waiting for the next attempt, make it now. Raises ``NotReady`` when no connection is wanted."""
        self._command("retry_now()", RetryWanted())

    async def ensure_fresh(self, max_age: float, ask: Callable[[], Awaitable[object]]) -> None:
        """Have the gateway answer, if its last byte is older; see ``IBConnector.ensure_fresh_async``.

        ``ask`` awaits an answer of its, one that was not on its way already.
        """
        if not self.latest.is_connected:
            raise NotReady(f"there is no session: {self.status}", self.status)
        if self._driver.silence <= max_age:
            return
        policy = self._machine.policy
        try:
            async with asyncio.timeout(policy.probe_apart + policy.suspect_after):
                self.post(ProbeWanted())
                await ask()
        except (TimeoutError, ConnectionError) as error:
            raise NotReady(f"the session may be dead, do not send an order: {self.status}", self.status) from error

    async def wait_ready(self, seconds: float | None) -> Status:
        """The status, once it is ``READY``; see ``IBConnector.wait_ready_async``."""
        try:
            async with asyncio.timeout(seconds):
                await self._until(_is_ready_or_over)
                while not _is_ready_or_over(status := self._machine.status):
                    await self._until(_is_ready_or_over)
        except TimeoutError as error:
            raise NotReady(f"not ready after {seconds:g} s: {self.status}", self.status) from error
        if status.state is not ConnectionState.READY:
            raise NotReady(f"not ready, and nothing is under way: {status}", status)
        return status

    async def changes(self) -> AsyncIterator[Status]:
        """The status now, then every new one; a slow reader gets the latest. Ends when its reader does."""
        changed = asyncio.Event()
        remove = self._listeners.add(lambda status: changed.set())
        try:
            while True:
                changed.clear()
                yield self.status
                await changed.wait()
        finally:
            remove()

    def post(self, fact: Fact) -> None:
        """Tell the machine. Raises ``RuntimeError`` in another loop than its own."""
        if asyncio.get_running_loop() is not self.loop:
            status = self._machine.status
            raise RuntimeError(
                f"the connection to {status.endpoint} ({status}) belongs to another event loop: call it where connect()"
                " was called, or disconnect first"
            )
        self._driver.post(fact)

    def _command(self, name: str, fact: Fact) -> None:
        if self.is_over:
            raise NotReady(f"{name} needs a connection: call connect() first. {self.status}", self.status)
        self.post(fact)

    async def _until(self, holds: Callable[[Status], bool]) -> Status:
        """The first status, from now on, of which ``holds`` is true."""
        return self.status if holds(self._machine.status) else await self._listeners.first(holds)

    def _connect_error(self) -> Exception:
        if self._driver.crash is not None:
            return RuntimeError(f"internal error, please report it: {self._driver.crash!r}")
        failure = self._machine.failure
        assert failure is not None, "FAILED without a failure"
        status = self._machine.status
        return connect_error(failure, status.endpoint, status.client_id, self._machine.attempts_made)


def _is_settled(status: Status) -> bool:
    degraded = status.state is ConnectionState.DEGRADED and status.is_connected
    return degraded or status.state in (ConnectionState.READY, *_OVER)


def _is_ready_or_over(status: Status) -> bool:
    return status.state in (ConnectionState.READY, *_OVER)
