"""`Gateway`: the simulated gateway, for programs that run an event loop.

This file has over 300 lines because of its docstrings, from which docs/simulator.md is generated.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from ibkr.simulator.activity_log import Seen
from ibkr.simulator.broker.order import Execution, Order
from ibkr.simulator.broker.portfolio import Position
from ibkr.simulator.connection.answer_latency import parse_latency
from ibkr.simulator.connection.connection_time import TimeZone
from ibkr.simulator.connection.listener import Listener
from ibkr.simulator.control_port import ControlPort
from ibkr.simulator.faults.conditions import RateLimit
from ibkr.simulator.faults.gateway_faults import Faults
from ibkr.simulator.gateway_state import ID_HOLD, GatewayState
from ibkr.simulator.market.instrument_loader import SHIPPED as SHIPPED_INSTRUMENTS
from ibkr.simulator.market.instrument_loader import load_instruments
from ibkr.simulator.orders.broker_actions import BrokerActions
from ibkr.simulator.requests.answer_file import SHIPPED as SHIPPED_ANSWERS
from ibkr.simulator.requests.answer_file import load_answers
from ibkr.simulator.scenarios.scenario import Scenario
from ibkr.simulator.scenarios.scenario_player import ScenarioPlayer
from ibkr.simulator.shared_state import MAX_VERSION, Settings

_STOP_TIMEOUT = 5.0


class Gateway:
    """A TCP server that speaks the protocol of TWS and IB Gateway, and fails on demand.

    Args:
        host: The address to listen on. Everybody who can reach it can use the gateway.
        port: The API port. 0 chooses a free port, which stays the same after restarts.
        accounts: The account ids of the login.
        server_version: The highest API version of the gateway, from 100 to 226. A session uses the highest version
            that both sides speak.
        tick_interval: Seconds between two prices of an instrument.
        seed: The seed of the random prices.
        next_order_id: The first order id that clients get.
        id_hold: Seconds for which the gateway holds a client id (326) after its connection was lost. If the client
            closes the connection properly, the gateway releases the id immediately.
        max_clients: Sessions at the same time. The gateway closes further connections.
        rate: Messages per second that each client may send.
        on_rate: What happens to messages above the rate. "pace": they wait. "reject": error 100, and at the third
            time the connection ends. "off": there is no limit.
        lines: Instruments that may stream at the same time. One more gets error 101.
        speed: The speed of the market's clock: 2 is twice as fast as real time.
        historical_pacing: Whether IB's limits on requests for historical bars apply.
        market_hours: Whether quotes move only while the exchange is open. By default, the market never closes.
        instruments: A TOML file of instruments that replaces the file of the package.
        answers: A TOML file of news, scanners, and similar answers that replaces the file of the package.
        master_client_id: The client id that sees the orders of all clients.
        partial_fills: Whether one fill is at most as large as the quoted size.
        control_port: The port for faults by HTTP, on the loopback interface. 0 chooses a free port. By default, it
            is not opened.
        latency: How long answers take: "20-300ms", or by request "20-300ms,reqHistoricalData=0.5-2s". The answers
            to one client keep their order. Other messages wait behind a delayed answer.
        time_zone: The time zone that clients get when they connect: "British Summer Time", "America/New_York". By
            default, the zone of this machine.
        time_zone_encoding: The encoding of that name: "utf-8", "gb2312".
        holdings: The positions at the start, each as account, contract id, quantity, and average cost. By default,
            every account has the same few positions. Unknown contracts are left out.

    Raises:
        ValueError: An argument is invalid. The text names it and says what to write.
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
        holdings: Sequence[tuple[str, int, float, float]] | None = None,
    ) -> None:
        # This function has over 40 lines because each parameter occurs twice.
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
            holdings=holdings,
        )
        self._instruments, self._answers = load_instruments(instruments), load_answers(answers)
        self._state = self._new_state()
        self._listener = Listener(host, port, self._state)
        self._control = None if control_port is None else ControlPort(self, control_port)
        self._player: ScenarioPlayer | None = None
        self.faults = Faults(self._state, self._listener)
        self._broker_actions = BrokerActions(self._state)

    def __repr__(self) -> str:
        where = f"{self.host}:{self.port}"
        return f"<Gateway {where} {'listening' if self.is_listening else 'not listening'}>"

    @property
    def host(self) -> str:
        """The address on which the gateway listens."""
        return self._listener.host

    @property
    def port(self) -> int:
        """The API port. It is 0 before `start` if the gateway chooses a free port."""
        return self._listener.port

    @property
    def control_port(self) -> int | None:
        """The control port, or `None`."""
        return self._control.port if self._control else None

    @property
    def seen(self) -> Seen:
        """What the gateway has received: connections, sessions, requests, subscriptions, faults."""
        return self._state.seen

    @property
    def is_listening(self) -> bool:
        """Whether the API port accepts connections now."""
        return self._state.is_accepting

    @property
    def client_ids(self) -> list[int]:
        """The client ids of the current sessions, sorted."""
        return sorted(self._state.sessions)

    @property
    def market_is_open(self) -> bool:
        """Whether quotes move. You can set it. While it is false, only frozen data is available."""
        return self._state.market.is_open

    @market_is_open.setter
    def market_is_open(self, is_open: bool) -> None:
        self._state.market.is_open = is_open

    @property
    def orders(self) -> list[Order]:
        """All orders at the broker, oldest first."""
        return self._broker_actions.orders

    @property
    def executions(self) -> list[Execution]:
        """All executions, oldest first, including executions that no client has received."""
        return self._broker_actions.executions

    @property
    def positions(self) -> list[Position]:
        """The positions of all accounts at the broker."""
        return self._broker_actions.positions

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: An address cannot be bound.
            RuntimeError: The gateway already runs.
        """
        if self._state.is_accepting:
            raise RuntimeError(f"the simulated gateway already listens on port {self.port}")
        self._state.loop = asyncio.get_running_loop()
        try:
            await self._listener.open()
            if self._control:
                await self._control.start()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening, and end all connections and timers. Returns when they have ended."""
        self._end_all()
        self._listener.stop_listening()
        if self._control:
            await self._control.stop()
        await self._listener.close()
        await self.wait_for(lambda gateway: not gateway._state.clients, _STOP_TIMEOUT)
        self._state.release_ids()

    async def reset(self) -> None:
        """Return to the initial state on the same port.

        Afterwards there are no clients, faults, or scenario, `seen` is empty, and prices start again. Pending actions
        of `on_received` are removed.
        """
        self._end_all()
        await self.wait_for(lambda gateway: not gateway._state.clients, _STOP_TIMEOUT)
        state = self._new_state()
        state.loop, state.is_accepting = asyncio.get_running_loop(), self._state.is_accepting
        self._state = self._listener.state = state
        self._broker_actions = BrokerActions(state)
        self.faults = Faults(state, self._listener)
        self._listener.return_to_first_port()
        self._listener.reopen_now()
        if self._listener.is_reopening_now:
            await self.wait_for(lambda gateway: gateway.is_listening)

    def _new_state(self) -> GatewayState:
        return GatewayState(self._settings, self._instruments, self._answers)

    def _end_all(self) -> None:
        self.end_scenario()
        self._state.conditions.frozen = False
        self.faults.stop()
        self._state.market.stop()
        self._state.order_handler.stop()
        for client in list(self._state.clients):
            client.abort()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def fault(self, name: str, /, *args: object, **named: object) -> None:
        """Run a fault. When this returns, its connections have ended, and a port that it opens is open.

        Args:
            name: The name of the fault. `FAULTS` lists them.
            args: The arguments of the fault in order. You can also pass them by name.

        Raises:
            FaultError: There is no such fault, or an argument is wrong.
        """
        self.faults.call(name, *args, **named)
        # Wait for the next iteration of the loop, in which an aborted transport closes its socket.
        await asyncio.sleep(0)
        if self._listener.is_reopening_now:
            await self.wait_for(lambda gateway: gateway.is_listening)

    def play(self, scenario: Scenario, speed: float = 1.0) -> None:
        """Start a scenario, and end the scenario that runs. Call this in the gateway's event loop.

        Args:
            scenario: The result of `load_scenario`.
            speed: The speed of the scenario: 2 is twice as fast as its file says.

        Raises:
            TypeError: This is not a scenario, but its name or file.
            ValueError: The speed is not above 0.
        """
        if not isinstance(scenario, Scenario):
            raise TypeError(f"scenario: a Scenario is needed, not {scenario!r}; write load_scenario({scenario!r})")
        if not 0 < speed < math.inf:
            raise ValueError(f"speed: more than 0 is needed, not {speed}")
        self.end_scenario()
        self._player = ScenarioPlayer(self.faults, self._state.hooks, scenario, speed)

    def end_scenario(self) -> None:
        """Stop the scenario. The faults that it has caused remain until the fault `clear`."""
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
            quantity: The number of shares or contracts.
            limit_price: The limit price, for a LMT order.
            stop_price: The stop price, for a STP order. With both prices the order type is STP LMT, with neither it
                is MKT.
            client_id: The client that owns the order. 0 is TWS itself.
            account: The account. By default, the first account.

        Returns:
            The order.

        Raises:
            ValueError: An argument is unknown or invalid, or the broker refuses the order.
            RuntimeError: The gateway was never started.
        """
        return self._broker_actions.place(
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
            quantity: How much to fill. By default, all that remains.
            price: The price of the fill. By default, the limit price of the order, or the market price.

        Returns:
            The execution.

        Raises:
            ValueError: There is no such live order, it is not at the exchange, or less remains.
        """
        return self._broker_actions.fill(order, quantity, price)

    def cancel_order(self, order: int | str, reason: str = "") -> None:
        """Cancel a live order at the exchange: code 202.

        Args:
            order: The order id, or a symbol for its oldest live order.
            reason: The text of the message.

        Raises:
            ValueError: There is no such live order.
        """
        self._broker_actions.cancel(order, reason)

    def reject_order(self, order: int | str, reason: str = "Rejected by the exchange") -> None:
        """Reject an order that the exchange had accepted: code 201.

        Args:
            order: The order id, or a symbol for its oldest live order.
            reason: The text of the message.

        Raises:
            ValueError: There is no such live order.
        """
        self._broker_actions.reject(order, reason)

    def note_order(self, order: int | str, code: int = 10349, text: str = "") -> None:
        """Send the client of a live order a note about it. The order does not change.

        Args:
            order: The order id, or a symbol for its oldest live order.
            code: The code of the note: 10349 (the time in force was set to DAY), 399 (the order waits for the
                opening), 2109 (outsideRth is ignored), 404 (TWS locates shares to short), or any other.
            text: The text of the note. By default, the text of TWS.

        Raises:
            ValueError: There is no such live order.
        """
        self._broker_actions.note(order, code, text)

    def on_received(self, name: str, action: "Callable[[Gateway], object]") -> None:
        """Call `action(gateway)` once, the next time that the gateway receives this, before it answers.

        Args:
            name: The name of a request, such as "reqPositions", or one of "connection" (accepted, nothing read),
                "hello" (received), "version" (sent as the answer to the hello), and "end" (the client has closed
                its side).
            action: A function of one argument, the gateway. It runs in the gateway's event loop.

        Raises:
            ValueError: The name is unknown.
            TypeError: The action is not a function.
        """
        if not callable(action):
            raise TypeError(f"on_received() needs a function that is called with the gateway, not {action!r}")
        self._state.hooks.add(name, lambda: action(self))

    async def wait_for(
        self,
        predicate: "Callable[[Gateway], object]",
        timeout: float = 5.0,  # noqa: ASYNC109 - unlike asyncio.timeout, its error says what was seen
    ) -> None:
        """Return as soon as `predicate(gateway)` is true. The gateway calls it after every event.

        Args:
            predicate: A function of one argument, the gateway.
            timeout: The longest time to wait, in seconds.

        Raises:
            TimeoutError: The predicate did not become true in time. The text says what the gateway has received.
        """
        await self._state.waiters.wait(lambda: bool(predicate(self)), timeout, lambda: f"seen: {self.seen}")
