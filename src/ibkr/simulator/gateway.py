"""The simulated gateway, for programs that run an event loop.

Over 300 lines by its docstrings, which docs/simulator.md is made of.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from ibkr.simulator.broker.book import Position
from ibkr.simulator.broker.order import Execution, Order
from ibkr.simulator.connection.latency import parse_latency
from ibkr.simulator.connection.listener import Listener
from ibkr.simulator.connection.time_zone import TimeZone
from ibkr.simulator.control import Control
from ibkr.simulator.faults.conditions import RateLimit
from ibkr.simulator.faults.faults import Faults
from ibkr.simulator.hub import ID_HOLD, Hub
from ibkr.simulator.market.instruments import SHIPPED as SHIPPED_INSTRUMENTS
from ibkr.simulator.market.instruments import load_instruments
from ibkr.simulator.orders.trading import Trading
from ibkr.simulator.requests.answers import SHIPPED as SHIPPED_ANSWERS
from ibkr.simulator.requests.answers import load_answers
from ibkr.simulator.scenarios.player import Player
from ibkr.simulator.scenarios.scenario import Scenario
from ibkr.simulator.seen import Seen
from ibkr.simulator.state import MAX_VERSION, Settings

_STOP_TIMEOUT = 5.0


class Gateway:
    """A TCP server that speaks the protocol of TWS and IB Gateway, and fails on demand.

    Args:
        host: The address to listen on. Anybody who can reach it can use the gateway.
        port: The API port. 0 takes a free one, which the gateway keeps over restarts.
        accounts: The account ids of the login.
        server_version: The highest API version that it speaks, from 100 to 226. The version of a session is the
            highest that the client speaks too.
        tick_interval: Seconds between two prices of an instrument.
        seed: Another seed gives other prices.
        next_order_id: The first order id that clients are told.
        id_hold: Seconds for which a client id stays taken (326) after the kernel has seen the end of its connection,
            if the client did not close it in good order.
        max_clients: Sessions at one time. More connections are closed.
        rate: Messages per second that it takes from one client.
        on_rate: What happens to messages above the rate. "pace": they wait. "reject": error 100, and at the third
            time the connection ends. "off": there is no limit.
        lines: Instruments that may stream at one time; one more gets error 101.
        speed: How fast the time of the market passes: 2 is twice as fast.
        historical_pacing: Whether IB's limits on requests for historical bars apply.
        market_hours: Whether quotes move only while the exchange is open. Without it, the market never closes.
        instruments: A TOML file of instruments, in place of the package's own.
        answers: A TOML file of news, scanners and their like, in place of the package's own.
        master_client_id: The client id that sees the orders of all clients.
        partial_fills: Whether an order is filled by no more at a time than the size that is quoted.
        control_port: The port for faults by HTTP, on loopback. 0 takes a free one; without it there is none.
        latency: How long answers take: "20-300ms", or by request "20-300ms,reqHistoricalData=0.5-2s". The answers to
            one client keep their order, and what is sent meanwhile waits behind them.
        time_zone: The time zone that clients are told when they connect: "British Summer Time", "America/New_York".
            Without it, the zone of this machine.
        time_zone_encoding: The encoding of that name: "utf-8", "gb2312".

    Raises:
        ValueError: A value that cannot be. The text names it and says what to write.
        OSError: An address cannot be bound. `start` raises it.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        accounts: Sequence[str] = ("DU1234567",),
        server_version: int = MAX_VERSION,
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
        market_hours: bool = False,
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
            market_hours=market_hours,
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
        """The address that it listens on."""
        return self._listener.host

    @property
    def port(self) -> int:
        """The API port. 0 until it has started, if it takes a free one."""
        return self._listener.port

    @property
    def control_port(self) -> int | None:
        """The control port, or `None`."""
        return self._control.port if self._control else None

    @property
    def seen(self) -> Seen:
        """What it has seen: connections, sessions, requests, subscriptions, faults."""
        return self._hub.seen

    @property
    def is_listening(self) -> bool:
        """Whether the API port accepts connections now."""
        return self._hub.is_accepting

    @property
    def client_ids(self) -> list[int]:
        """The client ids of the sessions that are up, in order."""
        return sorted(self._hub.sessions)

    @property
    def market_is_open(self) -> bool:
        """Whether quotes move. You can set it. While it is false, only frozen data is available."""
        return self._hub.market.is_open

    @market_is_open.setter
    def market_is_open(self, is_open: bool) -> None:
        self._hub.market.is_open = is_open

    @property
    def orders(self) -> list[Order]:
        """All orders, oldest first, as the broker has them."""
        return self._trading.orders

    @property
    def executions(self) -> list[Execution]:
        """All executions, oldest first, also those of which no client was told."""
        return self._trading.executions

    @property
    def positions(self) -> list[Position]:
        """The positions of all accounts, as the broker has them."""
        return self._trading.positions

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: An address cannot be bound.
            RuntimeError: It runs already.
        """
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
        """Stop listening, and end all connections and timers. Returns when they are gone."""
        self._end_all()
        self._listener.shut()
        if self._control:
            await self._control.stop()
        await self._listener.close()
        await self.wait_for(lambda gateway: not gateway._hub.clients, _STOP_TIMEOUT)
        self._hub.release_ids()

    async def reset(self) -> None:
        """Make it as new, on the same port: no client, no fault, no scenario, nothing seen, the first prices.

        Actions of `on_received` that still wait are dropped.
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
        self._hub.desk.stop()
        for client in list(self._hub.clients):
            client.abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def fault(self, name: str, /, *args: object, **named: object) -> None:
        """Carry out a fault. When this returns, the sockets that it ends have ended, and a port that it opens is open.

        Args:
            name: The name of the fault; `FAULTS` lists them.
            args: The arguments of the fault in order. You can also give them by name.

        Raises:
            FaultError: There is no such fault, or an argument is wrong.
        """
        self.faults.call(name, *args, **named)
        # An aborted transport closes its socket in the loop's next round, before we go on.
        await asyncio.sleep(0)
        if self._listener.is_reopening_now:
            await self.wait_for(lambda gateway: gateway.is_listening)

    def play(self, scenario: Scenario, speed: float = 1.0) -> None:
        """Begin a scenario. The one that is running ends. Call it in the gateway's event loop.

        Args:
            scenario: What `load_scenario` returns.
            speed: How many times as fast it runs as it is written.

        Raises:
            ValueError: The speed is not above 0.
        """
        if not 0 < speed < math.inf:
            raise ValueError(f"speed: more than 0 is needed, not {speed}")
        self.end_scenario()
        self._player = Player(self.faults, self._hub.moments, scenario, speed)

    def end_scenario(self) -> None:
        """Stop the scenario. What it has done stays as it is until the fault `clear`."""
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
        """Place an order at the broker, as another client or a person in TWS does.

        Args:
            symbol: The symbol of the instrument: "AAPL".
            action: "BUY" or "SELL".
            quantity: How many.
            limit_price: The limit price, for an order of type LMT.
            stop_price: The stop price, for an order of type STP; with both prices, of type STP LMT. With neither,
                the type is MKT.
            client_id: The client that it belongs to; 0 is TWS itself.
            account: The account; without it, the first one.

        Raises:
            ValueError: Something of it is not known, or cannot be.
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
        """Fill a live order at the exchange, at any price. The client gets the messages of a real fill.

        Args:
            order: The order id, or a symbol for its oldest live order.
            quantity: How many to fill; without it, all that remains.
            price: The price of the fill; without it, the limit price of the order or the price of the market.

        Returns:
            The execution.

        Raises:
            ValueError: There is no such live order, or less remains of it.
        """
        return self._trading.fill(order, quantity, price)

    def cancel_order(self, order: int | str, reason: str = "") -> None:
        """Cancel a live order at the exchange: code 202.

        Args:
            order: The order id, or a symbol for its oldest live order.
            reason: The text that goes with the code.

        Raises:
            ValueError: There is no such live order.
        """
        self._trading.cancel(order, reason)

    def reject_order(self, order: int | str, reason: str = "Rejected by the exchange") -> None:
        """Reject an order that the exchange had accepted: code 201.

        Args:
            order: The order id, or a symbol for its oldest live order.
            reason: The text that goes with the code.

        Raises:
            ValueError: There is no such live order.
        """
        self._trading.reject(order, reason)

    def note_order(self, order: int | str, code: int = 10349, text: str = "") -> None:
        """Send the client of a live order a note about it. The order stays as it is.

        Args:
            order: The order id, or a symbol for its oldest live order.
            code: The code of the note: 10349 (the time in force was set to DAY), 399 (the order waits for the
                opening), 2109 (outsideRth is ignored), 404 (shares are located), or any other.
            text: The text of the note; without it, the words of TWS.

        Raises:
            ValueError: There is no such live order.
        """
        self._trading.note(order, code, text)

    def on_received(self, name: str, action: "Callable[[Gateway], object]") -> None:
        """Call `action(gateway)` once, the next time that this is received, before it is answered.

        Args:
            name: The name of a request, such as "reqPositions", or one of "connection" (accepted, nothing read),
                "hello" (received), "version" (sent as the answer to the hello) and "end" (the client has closed its
                side).
            action: A function of one argument, the gateway. It runs in the gateway's event loop.

        Raises:
            ValueError: There is no such moment.
            TypeError: The action is not a function.
        """
        if not callable(action):
            raise TypeError(f"on_received() takes a function that is called with the gateway, not {action!r}")
        self._hub.moments.add(name, lambda: action(self))

    async def wait_for(
        self,
        predicate: "Callable[[Gateway], object]",
        timeout: float = 5.0,  # noqa: ASYNC109 - its error says what was seen, which asyncio.timeout's cannot
    ) -> None:
        """Return as soon as `predicate(gateway)` is true. It is called after every event.

        Args:
            predicate: A function of one argument, the gateway.
            timeout: How many seconds to wait at most.

        Raises:
            TimeoutError: It was not true in time. The text says what was seen.
        """
        await self._hub.watch.wait(lambda: bool(predicate(self)), timeout, lambda: f"seen: {self.seen}")
