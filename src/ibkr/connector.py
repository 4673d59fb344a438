"""``IBConnector``, the public class: creates the parts of a connector and passes calls to them.

This file has over 300 lines because of its docstrings, which users read.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload
from zoneinfo import ZoneInfo

from ibkr.core.activity import AnswerTime, Message, OrderView
from ibkr.core.connection_settings import ConnectionSettings
from ibkr.core.errors import ConfigError, NotReady
from ibkr.core.events import GatewayStatusChanged, Now
from ibkr.core.frozen_record import replace
from ibkr.core.gap_report import GapReport
from ibkr.core.gateway_status import GatewayStatus
from ibkr.core.machine import Machine
from ibkr.core.machine_state import Identity
from ibkr.core.order_records import Position
from ibkr.core.policy import Policy
from ibkr.core.stats import Stats
from ibkr.core.status import Status
from ibkr.core.subscription_info import SubscriptionStatus
from ibkr.observe.connection_log import StatusLog, log_stall
from ibkr.observe.log_filter import LIBRARY_LOGGERS, OUR_LOGGERS, AccountMask, mask_loggers
from ibkr.runtime import process_exit
from ibkr.runtime.connector_callbacks import ConnectorCallbacks
from ibkr.runtime.loop_context import LoopContext, check_seconds
from ibkr.runtime.rate_limiter import RateLimiter
from ibkr.runtime.script_loop import running_loop
from ibkr.runtime.supervision import Supervision
from ibkr.session.library import new_ib
from ibkr.session.session import Session

if TYPE_CHECKING:
    from ib_async import IB

    from ibkr.config import Config
    from ibkr.core.fleet_settings import Fleet
    from ibkr.runtime.fleet_link import FleetLink
    from ibkr.web.page_thread import ServedPage

T = TypeVar("T")


class IBConnector(ConnectorCallbacks):
    """A supervised connection to TWS or IB Gateway.

    ``connector.ib`` is the client library's object. Use it as usual, in the thread of the connector's event loop: the
    loop in which you called ``connect``, or a thread of its own (``start_in_thread``). While that loop runs, you can
    call every method from any thread. A call that would wait for itself raises ``RuntimeError``.

    Args:
        host: The gateway's host.
        port: The gateway's API port.
        client_id: The API client id. ``None`` in a fleet, which assigns it.
        timeout: Seconds that the gateway may be silent in one attempt.
        ib: Your own ``IB`` object, not connected. Without it, an object of the ``backend`` is created.
        backend: The client library: ``ib_async`` or ``ib_insync``.
        account: The account to follow if the login has several. If the login does not have it, orders are refused.
        readonly: Do not request orders, and send none.
        policy: All other settings.
        show_accounts: Do not mask account ids in logs and on the page of ``serve``.
        journal: A SQLite file that records orders and what was received, and survives a crash.
        journal_sync: ``normal`` survives a kill of the process, ``full`` also a power failure.
        record: A folder in which every session is recorded, without account ids and names.
        fleet: The fleet to join.

    Raises:
        ConfigError: A setting is wrong.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: int | None,
        timeout: float = 5,
        *,
        ib: IB | None = None,
        backend: str = "ib_async",
        account: str = "",
        readonly: bool = False,
        policy: Policy | None = None,
        show_accounts: bool = False,
        journal: str | os.PathLike[str] = "",
        journal_sync: str = "normal",
        record: str | os.PathLike[str] = "",
        fleet: Fleet | None = None,
    ) -> None:
        # This function has over 40 lines because of its many parameters and the parts that it connects.
        super().__init__(lambda: self._machine.status)
        client_id = _fixed_client_id(client_id, fleet)
        login = (host, port, client_id, timeout, account, readonly, backend, show_accounts)
        self._settings = ConnectionSettings(*login, os.fspath(journal), journal_sync, os.fspath(record))
        self._policy = Policy() if policy is None else policy
        if not isinstance(self._policy, Policy):
            raise ConfigError("policy", policy, "must be a Policy, such as Policy(probe_after=10), or None")
        self._ib: IB = new_ib(backend) if ib is None else ib
        identity = Identity(host, port, client_id, timeout, readonly, account)
        limiter = RateLimiter(self._policy.send_rate, self._policy.send_burst, self._policy.send_limit)
        now = Now(0.0, datetime.now(UTC))
        self._machine = Machine(identity, self._policy, now, random.random, self._policy.calendar(ZoneInfo))
        self._fleet: FleetLink | None = None
        self._context = LoopContext(lambda: self._machine.is_quiet)
        self._supervision: Supervision[Session] = Supervision(
            self._machine,
            self._listeners,
            self._gap_listeners,
            self._subscription_listeners,
            log_stall,
            self._context,
            limiter,
            partial(Session, self._ib, self._settings, self._policy, limiter, in_fleet=fleet is not None),
            None if fleet is None else partial(self._join_fleet, fleet),
        )
        self._session, self._driver = self._supervision.session, self._supervision.driver
        process_exit.register(self._supervision)
        self._page: ServedPage | None = None
        self._listeners.add(StatusLog())
        self._mask_accounts(show_accounts=show_accounts)
        if fleet is not None:
            self._add_fleet_listeners(self._in_fleet("fleet"))

    @classmethod
    def from_config(cls, cfg: Config) -> Self:
        """Create a connector with the settings of ``load_config``."""
        section = cfg.ibkr
        return cls(
            section.host,
            section.port,
            None if section.fleet.servers else section.client_id,
            section.timeout,
            backend=section.backend,
            account=section.account,
            readonly=section.readonly,
            policy=section.policy,
            show_accounts=section.show_accounts,
            journal=section.journal,
            journal_sync=section.journal_sync,
            record=section.record,
            fleet=section.fleet if section.fleet.servers else None,
        )

    @property
    def host(self) -> str:
        """The gateway's host."""
        return self._settings.host

    @property
    def port(self) -> int:
        """The gateway's port: the configured one, or the one that the gateway has announced (code 1300)."""
        return self._machine.port

    @property
    def client_id(self) -> int:
        """The client id. In a fleet, this is the client id of the newest session, and 0 before the first session."""
        return self._settings.client_id if self._fleet is None else self._machine.status.client_id

    @property
    def timeout(self) -> float:
        """Seconds that the gateway may be silent in one attempt."""
        return self._settings.timeout

    @property
    def ib(self) -> IB:
        """The client library's object. Raises ``RuntimeError`` outside of the thread of its event loop."""
        self._context.check_thread()
        return self._ib

    @property
    def status(self) -> Status:
        """The state of the connection, and its reason. ``as_of`` is the time when the event loop last ran.

        In a plain script, this first processes pending network events, without waiting. The properties below do the
        same. ``repr(connector)`` does not: it shows the last known status.
        """
        self._context.run_pending()
        return self._supervision.status

    @property
    def stats(self) -> Stats:
        """Counters since the connector was created, and the last measurements."""
        return self._context.run_in_loop(
            lambda: replace(
                self._session.stats(),
                attempts=self._machine.attempts,
                loop_stalls=self._driver.stalls,
                loop_stall_seconds=self._driver.stall_seconds,
            )
        )

    @property
    def subscriptions(self) -> tuple[SubscriptionStatus, ...]:
        """The status of every subscription, in the order in which they were requested."""

        def statuses() -> tuple[SubscriptionStatus, ...]:
            loop = self._context.loop
            return () if loop is None else self._session.subscriptions.all_statuses(loop.time())

        return self._context.run_in_loop(statuses)

    @property
    def orders(self) -> tuple[OrderView, ...]:
        """Every order that has not ended: unconfirmed, waiting, sent, or open at the broker.

        Orders of other clients and of TWS itself are included if the gateway reports them to this client.
        """
        return self._context.run_in_loop(self._session.gaps.order_views)

    @property
    def positions(self) -> tuple[Position, ...]:
        """The positions of the accounts, as last reported."""
        return self._context.run_in_loop(lambda: tuple(self._session.gaps.trades.positions()))

    @property
    def messages(self) -> tuple[Message, ...]:
        """The last 500 errors, warnings and notices of the gateway, the oldest first."""
        return self._context.run_in_loop(self._session.messages.rows)

    @property
    def answer_times(self) -> tuple[AnswerTime, ...]:
        """How long the gateway took to answer each of the program's last 500 requests, the oldest first."""
        return self._context.run_in_loop(self._session.answer_times.rows)

    @property
    def connected(self) -> bool:
        """Whether there is a session and its start-up is finished."""
        return self.status.is_connected

    @property
    def may_trade(self) -> bool:
        """Whether new orders may be sent. If not, ``status.may_trade_reason`` says why."""
        return self.status.may_trade

    def is_connected(self) -> bool:
        """Whether there is a session and its start-up is finished."""
        return self.connected

    def age(self, obj: object) -> float | None:
        """Seconds since the last message about a ``Ticker``, list of bars or ``PnL`` in this session.

        ``None`` before the first message, or if the object has no live subscription.
        """
        self._context.run_pending()
        loop = self._context.loop
        return None if loop is None else self._session.age(obj, loop.time())

    def connect(self, *, wait: bool = False) -> bool:
        """Connect, and block until start-up is finished. For plain scripts, and for a connector in its own thread.

        Makes up to three attempts (``policy.connect_attempts``).

        Args:
            wait: Try without limit until the connection works.

        Returns:
            True when start-up is finished, False if ``disconnect()`` was called before that.

        Raises:
            ConnectError: Connecting failed. The error says why the last attempt failed.
            JournalError: The journal belongs to another program, client id or connector.
            FleetError: The fleet's servers do not answer within ``timeout`` seconds. With ``wait``, it waits for them.
            RuntimeError: The call would block a running event loop.
        """
        return self._context.run("connect()", "'await connector.connect_async()'", lambda: self._connect(wait=wait))

    async def connect_async(self, *, wait: bool = False) -> bool:
        """Do the same as ``connect``, in a running event loop. If cancelled, stop connecting."""
        return await self._context.run_async(lambda: self._connect(wait=wait))

    def disconnect(self) -> bool:
        """End the connection, and return True when it has ended.

        The call waits for the end of the socket, except in the thread of the connector's running event loop. In that
        thread it ends the socket immediately. Use ``disconnect_async`` there if the last messages must arrive.
        """
        is_over = self._supervision.disconnect()
        if self._fleet is not None and running_loop() is None:
            self._fleet.leave_now()
        self._end_page()
        return is_over

    async def disconnect_async(self) -> bool:
        """End the connection properly, and wait for the end of its socket."""
        is_over = await self._context.run_async(self._supervision.disconnect_async)
        if self._fleet is not None:
            await self._fleet.leave()
        if self._page is not None:
            await asyncio.to_thread(self._end_page)
        return is_over

    def start_in_thread(self, *, background: bool = False) -> Self:
        """Connect as ``connect`` does, with the event loop in a daemon thread.

        For GUIs, notebooks and programs that block. ``stop`` ends the thread. A failure ends it, too, and is raised.

        Args:
            background: Return immediately, and try until it works. Wait with ``wait_ready``.

        Raises:
            RuntimeError: The connector uses another event loop.
        """
        started = self._supervision.start_thread(f"ibkr {self.host}:{self.port} client {self.client_id}")
        try:
            if background:
                self._context.run_in_loop(self._begin)
            else:
                self.connect()
        except BaseException:  # this includes Ctrl-C while connecting: end the thread
            if started:
                self.stop()
            raise
        return self

    @overload
    def call(self, fn: Callable[[IB], Awaitable[T]], timeout: float | None = None) -> T: ...

    @overload
    def call(self, fn: Callable[[IB], T], timeout: float | None = None) -> T: ...

    def call(self, fn: Callable[[IB], Awaitable[T] | T], timeout: float | None = None) -> T:
        """Run ``fn(ib)`` in the event loop's thread, and return its result. A coroutine or future is awaited first.

        Raises:
            TimeoutError: ``fn`` did not finish within ``timeout`` seconds. It is cancelled. Ctrl-C cancels it, too.
            NotReady: There is no event loop in which ``fn`` can run.
            ConnectionError: The event loop ended before ``fn`` was done.
            RuntimeError: The call was made in the running loop's thread, where it would wait for itself.
        """
        if self._context.loop is None:
            raise NotReady("call() needs start_in_thread(), or connect(), first", self._supervision.latest)

        async def work() -> T:
            result = fn(self._ib)
            return await result if asyncio.iscoroutine(result) or asyncio.isfuture(result) else cast(T, result)

        return self._context.run("call()", "fn(connector.ib), and await what it returns", work, timeout)

    def call_soon(self, command: Callable[[], object]) -> None:
        """Schedule a short function in the loop's thread.

        If the loop runs in this thread, or if no loop runs and no connection is requested, it is called immediately.
        """
        self._context.call_soon(command)

    def stop(self) -> None:
        """End the connection and its own thread. Wait for the end, except in that thread. Harmless if nothing runs."""
        if not self._supervision.stop_thread():
            self.disconnect()
        elif self._fleet is not None and running_loop() is None:  # the connector's own thread does not wait
            self._fleet.leave_now()
        self._end_page()

    def run(self) -> None:
        """Block until ``disconnect()`` is called, by a callback or from another thread.

        Raises the cause if the connector stopped trying, and ``NotReady`` if no connection is requested.
        """
        self._supervision.run_until_over()

    def sleep(self, seconds: float) -> bool:
        """Wait while supervision continues. Returns True, for ``while connector.sleep(1):``."""
        check_seconds(seconds)
        if self._context.in_other_thread:
            time.sleep(max(0, seconds))  # the connection runs in another thread
            return True
        return self._context.run("sleep()", "'await asyncio.sleep(seconds)'", lambda: asyncio.sleep(seconds, True))

    def reconnect(self) -> None:
        """Drop the session and reconnect now. Between attempts, make the next attempt now.

        Raises ``NotReady`` if no connection is requested.
        """
        self._context.run_in_loop(self._supervision.reconnect)

    def retry_now(self) -> None:
        """Between attempts, make the next attempt now. If the gateway is read-only, ask whether it still is read-only.

        Otherwise this does nothing. Raises ``NotReady`` if no connection is requested.
        """
        self._context.run_in_loop(self._supervision.retry_now)

    def ensure_fresh(self, max_age: float) -> None:
        """Do the same as ``ensure_fresh_async``, for programs without a running event loop."""
        self._context.run(
            "ensure_fresh()", "'await connector.ensure_fresh_async(max_age)'", lambda: self._ensure_fresh(max_age)
        )

    async def ensure_fresh_async(self, max_age: float) -> None:
        """Make sure that the session is alive before you send an order: a half-open socket loses orders silently.

        Returns immediately if the gateway has answered a request within ``max_age`` seconds. Otherwise, requests the
        gateway's time (at most one request in ``policy.probe_apart`` seconds), and waits for the answer. Other messages
        do not prove enough, because a gateway that sends messages may no longer read ours.

        Raises:
            NotReady: There is no session, or no answer within ``probe_apart`` + ``suspect_after`` s (see ``Policy``).
                While messages arrive, the limit is ``probe_apart`` + ``probe_timeout``.
        """
        await self._context.run_async(lambda: self._ensure_fresh(max_age))

    @property
    def last_gap(self) -> GapReport | None:
        """The last gap report, as ``on_gap`` callbacks get it. ``None`` before the first report."""
        self._context.run_pending()
        return self._session.gaps.last

    def clear_unconfirmed(self, *order_ids: int) -> None:
        """Remove these orders from ``status.unconfirmed``, after you have checked them.

        Without arguments, remove all.
        """
        self._context.run_in_loop(lambda: self._session.clear_unconfirmed(order_ids))

    def halt(self, reason: str, *, cancel_all: bool = False) -> None:
        """Refuse new and changed orders until ``resume()``.

        With a journal, the halt survives restarts of the program, and ``ibkr halt`` can also halt the program from
        outside. Without a journal, the halt is limited to this process.

        Args:
            reason: Shown in ``status.may_trade_reason`` and ``status.halted``.
            cancel_all: Send ``reqGlobalCancel``. It also cancels orders of other clients and of TWS itself.

        Raises:
            OSError: The halt could not be written to its file. The halt is still active.
        """
        self._context.run_in_loop(lambda: self._session.halt.halt(reason, cancel_all=cancel_all))

    def resume(self) -> None:
        """End a halt, but not a fleet's halt. Raises ``OSError`` if its file cannot be removed: the halt continues."""
        self._context.run_in_loop(self._session.halt.resume)

    def tell_gateway(self, gateway: GatewayStatus | None) -> None:
        """Set ``status.gateway``, the state of the gateway's process. ``ibkr.gateway`` calls this. Thread-safe."""
        if not isinstance(gateway, GatewayStatus | None):
            raise TypeError(f"tell_gateway() takes a GatewayStatus or None, not {gateway!r}")
        self._context.run_in_loop(lambda: self._supervision.post(GatewayStatusChanged(gateway)))

    def serve(
        self,
        port: int = 8080,
        *,
        host: str = "127.0.0.1",
        token: str = "",
        names: Sequence[str] = (),
        history: str | os.PathLike[str] | None = None,
    ) -> str:
        """Show this connector on a web page, in JSON and to health checks, until ``disconnect()`` or ``stop()``.

        The server runs in its own thread. You can call this before or after ``connect()``. Connectors of one program
        that use the same address share one page. See docs/serve.md.

        Args:
            port: The port. 0 chooses a free port.
            host: The address to listen on. Outside of loopback, a ``token`` is required.
            token: The password of visitors, at least 16 characters.
            names: Host names of the page, in addition to IP addresses and this computer's own name.
            history: A SQLite file for outages and state changes. Without it, they are kept in memory.

        Returns:
            The address of the page.

        Raises:
            ConfigError: An argument is wrong.
            RuntimeError: This connector is already served.
            OSError: The server cannot listen on the address.
            ModuleNotFoundError: The extra ``serve`` is not installed.
        """
        from ibkr.web.page_thread import serve_page  # part of an extra; most programs have no page

        if self._page is not None:
            raise RuntimeError(f"this connector is already served at {self._page.url}")
        show_accounts = self._settings.show_accounts
        self._page = serve_page(self, host, port, token, tuple(names), history, show_accounts=show_accounts)
        return self._page.url

    async def serve_async(self, port: int = 8080, **options: Any) -> str:
        """Do the same as ``serve``, with the same options, in a running event loop."""
        return await asyncio.to_thread(self.serve, port, **options)

    def _end_page(self) -> None:
        page, self._page = self._page, None
        if page is not None:  # do not block our own loop: the page may wait for this loop
            loop = running_loop()
            page.close(wait=loop is None or loop is not self._context.loop)

    def on_lead(self, callback: Callable[[Status], object]) -> Callable[[], None]:
        """Call a function with the status when this program leads and has a session with the lease's client id.

        Returns a function that unsubscribes. Raises ``ConfigError`` without a fleet.
        """
        return self._in_fleet("on_lead").on_lead(callback)

    def on_standby(self, callback: Callable[[Status], object]) -> Callable[[], None]:
        """Call a function with the status when another program of this name leads.

        Returns a function that unsubscribes. Raises ``ConfigError`` without a fleet.
        """
        return self._in_fleet("on_standby").on_standby(callback)

    def changes(self) -> AsyncIterator[Status]:
        """Yield the status now, then every new status. A slow reader gets the latest. Ends when its reader stops."""
        return self._supervision.changes()

    def wait_ready(self, timeout: float | None = None) -> Status:
        """Do the same as ``wait_ready_async``, for programs without a running event loop."""
        if running_loop() is None:
            self._supervision.require_wanted("wait_ready()")
        return self._context.run(
            "wait_ready()", "'await connector.wait_ready_async()'", lambda: self._supervision.wait_ready(timeout)
        )

    async def wait_ready_async(self, timeout: float | None = None) -> Status:  # noqa: ASYNC109 - part of the public signature
        """Wait until ``READY``. Raises ``NotReady`` after ``timeout`` seconds, or if no connection is in progress."""
        return await self._context.run_async(lambda: self._supervision.wait_ready(timeout))

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self.connect_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.disconnect_async()
        self._supervision.stop_thread()

    def __repr__(self) -> str:
        """The last known status in one line. Debuggers and log lines call this, so it has no effects."""
        status = self._machine.status
        return f"<IBConnector {status.endpoint} client {status.client_id}: {status}>"

    async def _connect(self, *, wait: bool) -> bool:
        if self._fleet is None:
            return await self._supervision.connect(wait=wait)
        return await self._fleet.connect(wait=wait, timeout=self.timeout)

    def _begin(self) -> None:
        """Connect in the running loop, without waiting."""
        if self._fleet is None:
            self._supervision.begin(wait=True)
        else:
            self._fleet.begin()

    def _join_fleet(self, fleet: Fleet, supervision: Supervision[Session]) -> FleetLink:
        from ibkr.runtime.fleet_link import FleetLink  # imported here: most programs are in no fleet

        self._fleet = FleetLink(fleet, self._settings, self._context, supervision)
        return self._fleet

    def _add_fleet_listeners(self, link: FleetLink) -> None:
        self._listeners.add(link.status_changed)
        self._gap_listeners.add(link.gap_reported)
        self.on_outage(link.outage_changed)

    def _in_fleet(self, what: str) -> FleetLink:
        if self._fleet is None:
            raise ConfigError("fleet", None, f"{what}() needs IBConnector(..., fleet=Fleet(...))")
        return self._fleet

    def _mask_accounts(self, *, show_accounts: bool) -> None:
        mask = AccountMask(show_accounts=show_accounts)
        self._listeners.add(lambda status: mask.add_accounts(status.accounts))
        mask.add_accounts([self._settings.account])
        mask_loggers((*OUR_LOGGERS, *LIBRARY_LOGGERS), mask)

    async def _ensure_fresh(self, max_age: float) -> None:
        await self._supervision.ensure_fresh(max_age, self._session.current_time_answer)


def _fixed_client_id(client_id: int | None, fleet: Fleet | None) -> int:
    """The configured client id. In a fleet it is 0, which is never used. Raises ``ConfigError``."""
    if (client_id is None) is (fleet is None):
        cure = (
            "must be None with a fleet, which assigns the id"
            if fleet is not None
            else "must be a whole number, 0 or greater"
        )
        raise ConfigError("ibkr.client_id", client_id, cure)
    return client_id or 0
