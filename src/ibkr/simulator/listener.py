"""The listening socket: opened, shut, and opened again on the same port."""

import asyncio
import contextlib
import ipaddress
import logging
import socket

from ibkr.simulator.client import Client
from ibkr.simulator.hub import Hub

log = logging.getLogger("ibkr.simulator")

_REBIND_EVERY = 0.05


class Listener:
    """Accepts connections for a hub. `port` is the chosen one once it was open, and stays."""

    def __init__(self, host: str, port: int, hub: Hub) -> None:
        self.host = host
        self.port = port
        self._hub = hub
        self._server: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._wait = 0.0

    @property
    def is_reopening_now(self) -> bool:
        """Whether the port is about to be open, without a wait."""
        return self._reopening is not None and self._wait == 0

    async def open(self) -> None:
        """Listen. Raises `OSError` if the address cannot be bound."""
        if not _is_loopback(self.host):
            log.warning("the simulated gateway listens on %s: anybody who reaches it can use it", self.host)
        # "localhost" may mean two addresses, which would get two different ports.
        family = socket.AF_INET if self.host == "localhost" else socket.AF_UNSPEC
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Client(self._hub), self.host, self.port, family=family, start_serving=False
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._hub.is_accepting = True
        await self._server.start_serving()
        log.info("listening on %s:%s", self.host, self.port)

    def shut(self) -> None:
        """The port refuses from now on; connections that stand are left alone."""
        self._hub.is_accepting = False
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        if self._server is not None:
            self._server.close()
            self._server = None

    def reopen_after(self, seconds: float) -> None:
        """Listen again on the same port after so many seconds; `shut` revokes it."""
        self._wait = seconds
        self._reopening = self._hub.loop.create_task(self._reopen(seconds))

    def reopen_now(self) -> None:
        """End the waiting of a pending reopening."""
        if self._reopening is not None:
            self.shut()
            self.reopen_after(0)

    async def stop(self) -> None:
        """Shut, and see the end of a pending reopening."""
        task, server = self._reopening, self._server
        self.shut()
        if task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if server is not None:
            await server.wait_closed()

    async def _reopen(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        is_told = False
        while True:
            try:
                await self.open()
                break
            except OSError as error:  # someone else has the port now
                if not is_told:
                    log.error("cannot listen on port %s again, trying on: %s", self.port, error)
                    is_told = True
                await asyncio.sleep(_REBIND_EVERY)
        self._reopening = None
        self._hub.changed()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
