"""``IBConnector``: the face. It wires the parts below together and decides nothing.

Over 300 lines by its docstrings: they are what the user reads, and the face stands in one place.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, cast, overload
from zoneinfo import ZoneInfo

from ibkr.core.errors import NotReady
from ibkr.core.facts import GatewayTold, Now
from ibkr.core.gap import GapReport
from ibkr.core.machine import Machine
from ibkr.core.policy import Policy
from ibkr.core.settings import Connection
from ibkr.core.situation import Identity
from ibkr.core.stats import Stats
from ibkr.core.status import Status
from ibkr.observe.gaps import tell_gap
from ibkr.observe.log_filter import LIBRARY_LOGGERS, OUR_LOGGERS, AccountMask, mask_loggers
from ibkr.observe.stalls import tell_stall
from ibkr.observe.status_log import StatusLog
from ibkr.runtime import endings
from ibkr.runtime.home import Home
from ibkr.runtime.limiter import Limiter
from ibkr.runtime.listeners import Listeners
from ibkr.runtime.script import running_loop
from ibkr.runtime.supervision import Supervision
from ibkr.session.library import new_ib
from ibkr.session.session import Session

if TYPE_CHECKING:
    from ib_async import IB

    from ibkr.config import Config
    from ibkr.core.gateway import GatewayStatus

T = TypeVar("T")


class IBConnector:
    """A supervised connection to TWS or IB Gateway.

    ``host``, ``port``, ``client_id``: where and as whom; ``timeout``: seconds that the gateway may stay silent in one
    attempt. ``ib``: an ``IB`` object of one's own, not connected, of either client library; without it, ``backend``
    names the library. ``account``: the one to follow where a login has several; with a login that does not have it no
    order is taken. ``readonly``: ask for no orders. ``policy``: every other number. ``show_accounts``: do not mask
    account ids in logs. Raises ``ConfigError``.

    ``connector.ib`` is the client library's object and is used as ever, in the thread of the event loop that the
    connector lives in: the one in which ``connect`` was called, or a thread of its own (``start_in_thread``). While
    that loop runs, every method is safe from any thread; where a call would wait for itself it raises ``RuntimeError``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: int,
        timeout: float = 5,
        *,
        ib: IB | None = None,
        backend: str = "ib_async",
        account: str = "",
        readonly: bool = False,
        policy: Policy | None = None,
        show_accounts: bool = False,
    ) -> None:
        self._settings = Connection(host, port, client_id, timeout, account, readonly, backend, show_accounts)
        self._policy = policy or Policy()
        self._ib: IB = new_ib(backend) if ib is None else ib
        identity = Identity(host, port, client_id, timeout, readonly, account)
        limiter = Limiter(self._policy.send_rate, self._policy.send_burst, self._policy.send_limit)
        now = Now(0.0, datetime.now(UTC))
        self._machine = Machine(identity, self._policy, now, random.random, self._policy.calendar(ZoneInfo))
        self._listeners = Listeners[Status]("status", "use 'async for status in connector.changes()', or ")
        self._gap_listeners = Listeners[GapReport]("gap")
        self._gap_listeners.add(tell_gap)
        self._home = Home(lambda: self._machine.is_quiet)
        self._supervision: Supervision[Session] = Supervision(
            self._machine,
            self._listeners,
            self._gap_listeners,
            tell_stall,
            self._home,
            limiter,
            lambda owner: Session(self._ib, self._settings, self._policy, limiter, owner),
        )
        self._session, self._driver = self._supervision.session, self._supervision.driver
        endings.remember(self._supervision)
        self._listeners.add(StatusLog())
        self._mask_accounts(show_accounts=show_accounts)

    @classmethod
    def from_config(cls, cfg: Config) -> Self:
        """A connector with the settings that ``load_config`` gave."""
        section = cfg.ibkr
        return cls(
            section.host,
            section.port,
            section.client_id,
            section.timeout,
            backend=section.backend,
            account=section.account,
            readonly=section.readonly,
            policy=section.policy,
            show_accounts=section.show_accounts,
        )

    @property
    def host(self) -> str:
        """The gateway's host."""
        return self._settings.host

    @property
    def port(self) -> int:
        """The gateway's port."""
        return self._settings.port

    @property
    def client_id(self) -> int:
        """Our client id."""
        return self._settings.client_id

    @property
    def timeout(self) -> float:
        """Seconds that the gateway may stay silent in one attempt."""
        return self._settings.timeout

    @property
    def ib(self) -> IB:
        """The client library's object. Raises ``RuntimeError`` in another thread than that of its event loop."""
        self._home.refuse_elsewhere()
        return self._ib

    @property
    def status(self) -> Status:
        """How the connection stands, and why; ``as_of`` is when the event loop last had a say.

        In a plain script, this first processes pending network events, without waiting. The properties below do the
        same. ``repr(connector)`` does not: it shows the last known status.
        """
        self._home.look()
        return self._supervision.status

    @property
    def stats(self) -> Stats:
        """Counts since the connector was made, and the last measures."""
        return self._home.give(
            lambda: replace(
                self._session.stats(),
                attempts=self._machine.attempts,
                loop_stalls=self._driver.stalls,
                loop_stall_seconds=self._driver.stall_seconds,
            )
        )

    @property
    def connected(self) -> bool:
        """Whether a session is up and its start-up has ended."""
        return self.status.is_connected

    @property
    def may_trade(self) -> bool:
        """Whether new orders may be sent; ``status.may_trade_reason`` says why not."""
        return self.status.may_trade

    def is_connected(self) -> bool:
        """Whether a session is up and its start-up has ended."""
        return self.connected

    def age(self, thing: object) -> float | None:
        """Seconds since the last message about a ``Ticker``, list of bars, ``PnL`` ... in this session.

        None before one, and for what is no live subscription's.
        """
        self._home.look()
        loop = self._home.loop
        return None if loop is None else self._session.age(thing, loop.time())

    def connect(self, *, wait: bool = False) -> bool:
        """Connect, and block until that is done; for plain scripts, and for a connector in a thread of its own.

        Up to three attempts (``policy.connect_attempts``), then the last cause is raised as a ``ConnectError``;
        with ``wait`` it is tried until it works. True when session and start-up are there; False when
        ``disconnect()`` came first. Raises ``RuntimeError`` inside a running event loop.
        """
        return self._home.run(
            "connect()", "'await connector.connect_async()'", lambda: self._supervision.connect(wait=wait)
        )

    async def connect_async(self, *, wait: bool = False) -> bool:
        """As ``connect``, in a running event loop. Cancelled, it gives up."""
        return await self._home.join(lambda: self._supervision.connect(wait=wait))

    def disconnect(self) -> bool:
        """End the connection and every attempt at one; True when that is so.

        It returns when the socket has ended, but in the running event loop's own thread, where it ends the socket at
        once and does not wait: use ``disconnect_async`` there if what was sent last must still arrive.
        """
        return self._supervision.disconnect()

    async def disconnect_async(self) -> bool:
        """End the connection in good order and wait for the end of its socket."""
        return await self._home.join(self._supervision.disconnect_async)

    def start_in_thread(self, *, background: bool = False) -> Self:
        """Connect as ``connect`` does, with event loop, supervision and client in a daemon thread of their own.

        For GUIs, notebooks and programs that block. Raises the last cause as ``connect`` does, and leaves no thread
        then; with ``background`` it returns at once and is tried until it works (``wait_ready``). ``stop`` ends it.
        Raises ``RuntimeError`` while the connector lives in another event loop.
        """
        started = self._supervision.start_thread(f"ibkr {self.host}:{self.port} client {self.client_id}")
        try:
            if background:
                self._home.give(lambda: self._supervision.begin(wait=True))
            else:
                self.connect()
        except BaseException:  # Ctrl-C while it connects, too: no thread is left behind
            if started:
                self.stop()
            raise
        return self

    @overload
    def call(self, fn: Callable[[IB], Awaitable[T]], timeout: float | None = None) -> T: ...

    @overload
    def call(self, fn: Callable[[IB], T], timeout: float | None = None) -> T: ...

    def call(self, fn: Callable[[IB], Awaitable[T] | T], timeout: float | None = None) -> T:
        """``fn(ib)``, run in the event loop's thread, and awaited if it is a coroutine; its result or exception here.

        Not done after ``timeout`` seconds, or on Ctrl-C, it is cancelled. Raises ``TimeoutError`` then; ``NotReady``
        when there is no event loop to run it in; ``ConnectionError`` when that ends meanwhile; ``RuntimeError`` in the
        running loop's own thread, where it would wait for itself.
        """
        if self._home.loop is None:
            raise NotReady("call() needs start_in_thread(), or connect(), first", self._supervision.latest)

        async def work() -> T:
            result = fn(self._ib)
            return await result if asyncio.iscoroutine(result) or asyncio.isfuture(result) else cast(T, result)

        return self._home.run("call()", "fn(connector.ib), and await what it returns", work, timeout)

    def stop(self) -> None:
        """End the connection, and its own thread if it has one; harmless when nothing runs.

        From any thread, it returns when all is ended; in the own thread itself, at once.
        """
        if not self._supervision.stop_thread():
            self.disconnect()

    def run(self) -> None:
        """Block and keep supervision going until ``disconnect()`` is called, by a callback or from another thread.

        Raises the cause when the connection is given up, ``NotReady`` when none is wanted.
        """
        self._supervision.run_until_over()

    def sleep(self, seconds: float) -> bool:
        """Wait, while supervision goes on; True, for ``while connector.sleep(1):``."""
        if self._home.is_elsewhere:
            time.sleep(seconds)  # the connection is looked after in another thread
            return True
        return self._home.run("sleep()", "'await asyncio.sleep(seconds)'", lambda: asyncio.sleep(seconds, True))

    def reconnect(self) -> None:
        """Drop the session and come back now; while waiting for the next attempt, make it now.

        Raises ``NotReady`` when no connection is wanted.
        """
        self._home.give(self._supervision.reconnect)

    def retry_now(self) -> None:
        """While waiting for the next attempt, make it now; otherwise nothing is changed.

        Raises ``NotReady`` when no connection is wanted.
        """
        self._home.give(self._supervision.retry_now)

    def ensure_fresh(self, max_age: float) -> None:
        """As ``ensure_fresh_async``, for programs without a running event loop."""
        self._home.run(
            "ensure_fresh()", "'await connector.ensure_fresh_async(max_age)'", lambda: self._ensure_fresh(max_age)
        )

    async def ensure_fresh_async(self, max_age: float) -> None:
        """Make sure that the session lives, before an order is trusted to it: a half-open socket swallows one silently.

        Returns at once when a byte came within ``max_age`` seconds, otherwise when the gateway has told its time, which
        it is asked no more than once in ``policy.probe_apart`` seconds. Raises ``NotReady`` when it does not, within
        ``policy.suspect_after`` after that, and when there is no session.
        """
        await self._home.join(lambda: self._ensure_fresh(max_age))

    def on_gap(self, callback: Callable[[GapReport], object]) -> Callable[[], None]:
        """Call a plain function with the report of every outage once all is restored, in the loop's thread.

        Returns what ends that.
        """
        return self._gap_listeners.add(callback)

    @property
    def last_gap(self) -> GapReport | None:
        """What changed at the broker during the last outage; None before the first has ended."""
        self._home.look()
        return self._session.gaps.last

    def clear_unconfirmed(self, *order_ids: int) -> None:
        """Take these orders off ``status.unconfirmed``, all if none are named: you have seen what became of them."""
        self._home.give(lambda: self._session.gaps.clear_unconfirmed(order_ids))

    def tell_gateway(self, gateway: GatewayStatus | None) -> None:
        """Set ``status.gateway``, the state of the gateway's process; ``ibkr.gateway`` calls this. Thread-safe."""
        self._home.give(lambda: self._driver.post(GatewayTold(gateway)))

    def on_status(self, callback: Callable[[Status], object]) -> Callable[[], None]:
        """Call a plain function with every new status, in the loop's thread; returns what ends that."""
        return self._listeners.add(callback)

    def changes(self) -> AsyncIterator[Status]:
        """The status now, then every new one; a slow reader gets the latest. Ends when its reader does."""
        return self._supervision.changes()

    def wait_ready(self, timeout: float | None = None) -> Status:
        """As ``wait_ready_async``, for programs without a running event loop."""
        if running_loop() is None:
            self._supervision.require_wanted("wait_ready()")
        return self._home.run(
            "wait_ready()", "'await connector.wait_ready_async()'", lambda: self._supervision.wait_ready(timeout)
        )

    async def wait_ready_async(self, timeout: float | None = None) -> Status:  # noqa: ASYNC109 - the design's signature
        """The status, once it is ``READY``.

        Raises ``NotReady`` after ``timeout`` seconds, and at once when nothing is under way that could lead there.
        """
        return await self._home.join(lambda: self._supervision.wait_ready(timeout))

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
        """The last known status in one line. Debuggers and log lines call this: it runs nothing and changes nothing."""
        status = self._machine.status
        return f"<IBConnector {status.endpoint} client {status.client_id}: {status}>"

    def _mask_accounts(self, *, show_accounts: bool) -> None:
        mask = AccountMask(show_accounts=show_accounts)
        self._listeners.add(lambda status: mask.learn(status.accounts))
        mask.learn([self._settings.account])
        mask_loggers((*OUR_LOGGERS, *LIBRARY_LOGGERS), mask)

    async def _ensure_fresh(self, max_age: float) -> None:
        await self._supervision.ensure_fresh(max_age, self._session.current_time_answer)
