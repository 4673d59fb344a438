"""The simulated gateway, for programs that run an event loop."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Self

from ibkr.simulator.control import Control
from ibkr.simulator.faults import Faults
from ibkr.simulator.hub import Hub, Settings
from ibkr.simulator.listener import Listener
from ibkr.simulator.seen import Seen

_STOP_TIMEOUT = 5.0


class Gateway:
    """A TCP server that speaks the text protocol of TWS / IB Gateway, and fails on demand.

    `port` 0 chooses a free one, kept over restarts. `tick_interval` and `id_hold` (how long a
    client id stays taken after its session ended) are in seconds. `control_port` opens a control
    port on loopback, 0 for any. Raises `OSError` from `start` if an address cannot be bound.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        accounts: Sequence[str] = ("DU1234567",),
        server_version: int = 178,
        tick_interval: float = 0.05,
        seed: int = 1,
        next_order_id: int = 1,
        id_hold: float = 0.0,
        max_clients: int = 32,
        control_port: int | None = None,
    ) -> None:
        settings = Settings(accounts, server_version, tick_interval, seed, next_order_id, id_hold, max_clients)
        self._hub = Hub(settings)
        self._listener = Listener(host, port, self._hub)
        self._control = None if control_port is None else Control(self, control_port)
        self.faults = Faults(self._hub, self._listener)

    def __repr__(self) -> str:
        where = f"{self.host}:{self.port}"
        return f"<Gateway {where} {'listening' if self.is_listening else 'not listening'}>"

    @property
    def host(self) -> str:
        """The address that it was told to bind."""
        return self._listener.host

    @property
    def port(self) -> int:
        """The API port; 0 as long as none was chosen."""
        return self._listener.port

    @property
    def control_port(self) -> int | None:
        """The control port, if there is one."""
        return self._control.port if self._control else None

    @property
    def seen(self) -> Seen:
        """What it saw since it was made."""
        return self._hub.seen

    @property
    def is_listening(self) -> bool:
        """Whether the API port takes connections now."""
        return self._hub.is_accepting

    @property
    def client_ids(self) -> list[int]:
        """The client ids of the sessions that stand."""
        return sorted(self._hub.sessions)

    async def start(self) -> None:
        """Listen. Raises `OSError` if an address cannot be bound, `RuntimeError` if it runs already."""
        if self._hub.is_accepting:
            raise RuntimeError(f"the simulated gateway already listens on port {self.port}")
        self._hub.loop = asyncio.get_running_loop()
        await self._listener.open()
        if self._control:
            try:
                await self._control.start()
            except OSError:
                await self.stop()
                raise

    async def stop(self) -> None:
        """End the listening, all connections and timers; returns when they are gone."""
        self._hub.conditions.frozen = False
        self.faults.stop()
        self._hub.market.stop()
        self._listener.shut()
        for client in list(self._hub.clients):
            client.abort()
        if self._control:
            await self._control.stop()
        await self._listener.wait_shut()
        await self.wait_for(lambda gateway: not gateway._hub.clients, _STOP_TIMEOUT)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def fault(self, name: str, /, *args: object, **named: object) -> None:
        """Carry out a fault by its name; `FAULTS` has them. Raises `FaultError`.

        Sockets that it ends have ended when this returns, and a port that it opens is open.
        """
        self.faults.call(name, *args, **named)
        # An aborted transport closes its socket in the loop's next round, before we go on.
        await asyncio.sleep(0)
        if self._listener.is_reopening_now:
            await self.wait_for(lambda gateway: gateway.is_listening)

    def on_received(self, name: str, action: "Callable[[Gateway], object]") -> None:
        """Call `action(gateway)` once, the next time this is received, and before it is answered.

        `name` is that of a request, or one of: connection (accepted, no byte read), hello, version (just sent as the
        hello's answer), end (of what a client sends). Raises `ValueError` for any other.
        """
        self._hub.moments.add(name, lambda: action(self))

    async def wait_for(self, predicate: "Callable[[Gateway], object]", timeout: float = 5.0) -> None:  # noqa: ASYNC109
        """Return as soon as `predicate(gateway)` is true; it is asked after every event.

        Raises `TimeoutError`, which says what was seen, after `timeout` seconds.
        """
        await self._hub.watch.wait(lambda: bool(predicate(self)), timeout, lambda: f"seen: {self.seen}")
