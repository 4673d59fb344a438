"""The simulated gateway, for programs that run an event loop."""

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from ibkr.simulator.broker.book import Position
from ibkr.simulator.broker.order import Execution, Order
from ibkr.simulator.connection.latency import parse_latency
from ibkr.simulator.connection.listener import Listener
from ibkr.simulator.connection.pacer import RateLimit
from ibkr.simulator.connection.time_zone import TimeZone
from ibkr.simulator.control import Control
from ibkr.simulator.faults.faults import Faults
from ibkr.simulator.hub import ID_HOLD, Hub, Settings
from ibkr.simulator.market.instruments import SHIPPED as SHIPPED_INSTRUMENTS
from ibkr.simulator.market.instruments import load_instruments
from ibkr.simulator.orders.trading import Trading
from ibkr.simulator.requests.answers import SHIPPED as SHIPPED_ANSWERS
from ibkr.simulator.requests.answers import load_answers
from ibkr.simulator.scenarios.player import Player
from ibkr.simulator.scenarios.scenario import Scenario
from ibkr.simulator.seen import Seen

_STOP_TIMEOUT = 5.0


class Gateway:
    """A TCP server that speaks the text protocol of TWS / IB Gateway, and fails on demand.

    `port` 0 chooses a free one, kept over restarts. `tick_interval` and `id_hold` (how long a
    client id stays taken after a session that the client did not end itself) are in seconds. Above `rate` messages in
    any second from one client they wait (`on_rate` "pace"), or get error 100 and the third time a cut ("reject"), or
    are taken all the same ("off"). `lines` is the number of market data lines; `speed` makes the market's time pass
    faster, 2 twice as fast; `historical_pacing` turns on IB's limits on requests for bars. `instruments` and `answers`
    are data files in place of the package's own. `master_client_id` sees the orders of all clients. With
    `partial_fills` an order is filled by no more at once than the size that is quoted. `control_port` opens a control
    port on loopback, 0 for any. Raises `OSError` from `start` if an address cannot be bound, `ValueError` at once for
    what cannot be.
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
        id_hold: float = ID_HOLD,
        max_clients: int = 32,
        rate: int = 50,
        on_rate: str = "pace",
        lines: int = 100,
        speed: float = 1.0,
        historical_pacing: bool = False,
        instruments: str | Path = SHIPPED_INSTRUMENTS,
        answers: str | Path = SHIPPED_ANSWERS,
        master_client_id: int | None = None,
        partial_fills: bool = False,
        control_port: int | None = None,
        latency: str | None = None,
        time_zone: str | None = None,
        time_zone_encoding: str = "utf-8",
    ) -> None:
        # Over 40 lines by its parameters, each of which stands here twice.
        self._settings = Settings(
            accounts=accounts,
            server_version=server_version,
            tick_interval=tick_interval,
            seed=seed,
            next_order_id=next_order_id,
            id_hold=id_hold,
            max_clients=max_clients,
            rate_limit=RateLimit(rate, on_rate),
            lines=lines,
            speed=speed,
            historical_pacing=historical_pacing,
            master_client_id=master_client_id,
            partial_fills=partial_fills,
            latency=parse_latency(latency),
            time_zone=TimeZone(time_zone, time_zone_encoding),
        )
        self._instruments, self._answers = load_instruments(instruments), load_answers(answers)
        self._hub = self._new_hub()
        self._listener = Listener(host, port, self._hub)
        self._control = None if control_port is None else Control(self, control_port)
        self._player: Player | None = None
        self.faults = Faults(self._hub, self._listener)
        self._trading = Trading(self._hub)

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

    @property
    def market_is_open(self) -> bool:
        """Whether quotes move; may be set. While the market is shut there is frozen data for those who ask for it."""
        return self._hub.market.is_open

    @market_is_open.setter
    def market_is_open(self, is_open: bool) -> None:
        self._hub.market.is_open = is_open

    @property
    def orders(self) -> list[Order]:
        """All orders that it has taken, oldest first, as they are at the broker."""
        return self._trading.orders

    @property
    def executions(self) -> list[Execution]:
        """All executions, oldest first, whether or not a client was there to hear of them."""
        return self._trading.executions

    @property
    def positions(self) -> list[Position]:
        """What its accounts hold at the broker."""
        return self._trading.positions

    async def start(self) -> None:
        """Listen. Raises `OSError` if an address cannot be bound, `RuntimeError` if it runs already."""
        if self._hub.is_accepting:
            raise RuntimeError(f"the simulated gateway already listens on port {self.port}")
        self._hub.loop = asyncio.get_running_loop()
        try:
            await self._listener.open()
            if self._control:
                await self._control.start()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the listening, all connections and timers; returns when they are gone."""
        self._end_all()
        self._listener.shut()
        if self._control:
            await self._control.stop()
        await self._listener.close()
        await self.wait_for(lambda gateway: not gateway._hub.clients, _STOP_TIMEOUT)
        self._hub.release_ids()

    async def reset(self) -> None:
        """As if new, on the same port: no client, no fault, no scenario, nothing seen, the market at its start.

        Actions of `on_received` that wait are dropped.
        """
        self._end_all()
        await self.wait_for(lambda gateway: not gateway._hub.clients, _STOP_TIMEOUT)
        hub = self._new_hub()
        hub.loop, hub.is_accepting = asyncio.get_running_loop(), self._hub.is_accepting
        self._hub = self._listener.hub = hub
        self._trading = Trading(hub)
        self.faults = Faults(hub, self._listener)
        self._listener.go_home()
        self._listener.reopen_now()
        if self._listener.is_reopening_now:
            await self.wait_for(lambda gateway: gateway.is_listening)

    def _new_hub(self) -> Hub:
        return Hub(self._settings, self._instruments, self._answers)

    def _end_all(self) -> None:
        self.end_scenario()
        self._hub.conditions.frozen = False
        self.faults.stop()
        self._hub.market.stop()
        for client in list(self._hub.clients):
            client.abort()

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

    def play(self, scenario: Scenario, speed: float = 1.0) -> None:
        """Begin a scenario, in place of the one that is played, `speed` times as fast. To be called in the loop.

        Raises `ValueError` for a speed that is not above 0.
        """
        if not 0 < speed < math.inf:
            raise ValueError(f"speed: more than 0 is needed, not {speed}")
        self.end_scenario()
        self._player = Player(self.faults, self._hub.moments, scenario, speed)

    def end_scenario(self) -> None:
        """Nothing more of the scenario happens; what it has done stays, until `clear`."""
        if self._player:
            self._player.stop()
            self._player = None

    def place_order(
        self,
        symbol: str,
        action: str,
        quantity: float,
        *,
        limit_price: float | None = None,
        stop_price: float | None = None,
        client_id: int = 0,
        account: str | None = None,
    ) -> Order:
        """Place an order as another client does, or by hand in TWS: `client_id` 0.

        Its type follows from the prices that are given: MKT, LMT, STP or STP LMT. Raises `ValueError`.
        """
        return self._trading.place(
            symbol,
            action,
            quantity,
            limit_price=limit_price,
            stop_price=stop_price,
            client_id=client_id,
            account=account,
        )

    def fill(self, order: int | str, quantity: float | None = None, price: float | None = None) -> Execution:
        """Fill a live order at the exchange, whatever the market says.

        `order` is an order id, or a symbol for the oldest order of it. All that remains is filled, at the order's
        limit or the market's price, unless quantity and price are given. Raises `ValueError`.
        """
        return self._trading.fill(order, quantity, price)

    def cancel_order(self, order: int | str, reason: str = "") -> None:
        """The exchange cancels an order (202), named as in `fill`. Raises `ValueError`."""
        self._trading.cancel(order, reason)

    def reject_order(self, order: int | str, reason: str = "Rejected by the exchange") -> None:
        """The exchange rejects an order that it had taken (201), named as in `fill`. Raises `ValueError`."""
        self._trading.reject(order, reason)

    def on_received(self, name: str, action: "Callable[[Gateway], object]") -> None:
        """Call `action(gateway)` once, the next time this is received, and before it is answered.

        `name` is that of a request, or one of: connection (accepted, no byte read), hello, version (just sent as the
        hello's answer), end (of what a client sends). Raises `ValueError` for any other, `TypeError` for no function.
        """
        if not callable(action):
            raise TypeError(f"on_received() takes a function that is called with the gateway, not {action!r}")
        self._hub.moments.add(name, lambda: action(self))

    async def wait_for(
        self,
        predicate: "Callable[[Gateway], object]",
        timeout: float = 5.0,  # noqa: ASYNC109 - its error says what was seen, which asyncio.timeout's cannot
    ) -> None:
        """Return as soon as `predicate(gateway)` is true; it is asked after every event.

        Raises `TimeoutError`, which says what was seen, after `timeout` seconds.
        """
        await self._hub.watch.wait(lambda: bool(predicate(self)), timeout, lambda: f"seen: {self.seen}")
