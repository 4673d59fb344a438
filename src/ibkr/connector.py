"""``IBConnector``: the face. It wires the parts below together and decides nothing."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self
from zoneinfo import ZoneInfo

from ibkr.core.facts import Now
from ibkr.core.machine import Machine
from ibkr.core.policy import Policy
from ibkr.core.settings import Connection
from ibkr.core.situation import Identity
from ibkr.core.stats import Stats
from ibkr.core.status import Status
from ibkr.observe.log import LIBRARY_LOGGERS, OUR_LOGGERS, AccountMask, StatusLog, mask_loggers
from ibkr.observe.stalls import tell_stall
from ibkr.runtime.driver import Driver
from ibkr.runtime.limiter import Limiter
from ibkr.runtime.listeners import Listeners
from ibkr.runtime.script import call_in_script, refuse_running_loop, run_in_script, running_loop
from ibkr.runtime.supervision import Supervision
from ibkr.session.adapter import Adapter
from ibkr.session.backend import new_ib, script_loop
from ibkr.session.orders.guard import Guard

if TYPE_CHECKING:
    from ib_async import IB

    from ibkr.config import Config


class IBConnector:
    """A supervised connection to TWS or IB Gateway.

    ``host``, ``port``, ``client_id``: where and as whom; ``timeout``: seconds that the gateway may stay silent in one
    attempt. ``ib``: an ``IB`` object of one's own, not connected. ``account``: the one to follow where a login has
    several. ``readonly``: ask for no orders. ``policy``: every other number. ``show_accounts``: do not mask account
    ids in logs. Raises ``ConfigError``.

    ``connector.ib`` is the client library's object and is used as ever; the connector keeps it connected. All methods
    belong to the thread, and while one runs to the event loop, in which ``connect`` was called.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: int,
        timeout: float = 5,
        *,
        ib: IB | None = None,
        account: str = "",
        readonly: bool = False,
        policy: Policy | None = None,
        show_accounts: bool = False,
    ) -> None:
        self._settings = Connection(
            host, port, client_id, timeout, account=account, readonly=readonly, show_accounts=show_accounts
        )
        self._policy = policy or Policy()
        self.ib = ib if ib is not None else new_ib()
        identity = Identity(host, port, client_id, timeout, readonly)
        limiter = Limiter(self._policy.send_rate, self._policy.send_burst)
        now = Now(0.0, datetime.now(UTC))
        self._machine = Machine(identity, self._policy, now, random.random, self._policy.calendar(ZoneInfo))
        self._adapter = Adapter(self.ib, host, client_id, self._policy, limiter, account=account, readonly=readonly)
        self._listeners = Listeners()
        self._driver = Driver(self._machine, self._adapter, self._listeners.tell, tell_stall)
        self._supervision = Supervision(self._machine, self._driver, self._listeners)
        self._listeners.add(StatusLog())
        mask = AccountMask(show_accounts=show_accounts)
        self._listeners.add(lambda status: mask.learn(status.accounts))
        mask.learn([account])
        mask_loggers((*OUR_LOGGERS, *LIBRARY_LOGGERS), mask)
        self._guard_ib()

    @classmethod
    def from_config(cls, cfg: Config) -> Self:
        """A connector with the settings that ``load_config`` gave."""
        section = cfg.ibkr
        return cls(
            section.host,
            section.port,
            section.client_id,
            section.timeout,
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
    def status(self) -> Status:
        """How the connection stands, and why."""
        return self._supervision.status

    @property
    def stats(self) -> Stats:
        """Counts since the connector was made, and the last measures."""
        return replace(
            self._adapter.stats(),
            attempts=self._machine.attempts,
            loop_stalls=self._driver.stalls,
            loop_stall_seconds=self._driver.stall_seconds,
        )

    @property
    def connected(self) -> bool:
        """Whether a session is up and its start-up has ended."""
        return self._supervision.latest.is_connected

    def is_connected(self) -> bool:
        """Whether a session is up and its start-up has ended."""
        return self.connected

    def age(self, thing: object) -> float | None:
        """Seconds since the last message about a ``Ticker``, list of bars, ``PnL`` ... in this session.

        None before one, and for what is no live subscription's.
        """
        loop = self._supervision.loop
        return None if loop is None else self._adapter.custody.age(thing, loop.time())

    def connect(self, *, wait: bool = False) -> bool:
        """Connect, and block until that is done; for programs without a running event loop.

        Up to three attempts (``policy.connect_attempts``), then the last cause is raised as a ``ConnectError``;
        with ``wait`` it is tried until it works. True when session and start-up are there; False when
        ``disconnect()`` came first. Raises ``RuntimeError`` inside a running event loop.
        """
        refuse_running_loop("connect()", "await connector.connect_async()")
        return run_in_script(script_loop(), self.connect_async(wait=wait))

    async def connect_async(self, *, wait: bool = False) -> bool:
        """As ``connect``, in a running event loop. Cancelled, it gives up."""
        return await self._supervision.connect(wait=wait)

    def disconnect(self) -> bool:
        """End the connection and every attempt at one; True when that is so.

        Without a running event loop it returns when the socket has ended. Inside one it ends the socket at once and
        does not wait: use ``disconnect_async`` where what was sent last must still arrive.
        """
        loop = self._supervision.loop
        if running_loop() is None and loop is not None and not self._supervision.is_quiet:
            return run_in_script(loop, self._supervision.disconnect())
        return self._supervision.disconnect_now()

    async def disconnect_async(self) -> bool:
        """End the connection in good order and wait for the end of its socket."""
        return await self._supervision.disconnect()

    def reconnect(self) -> None:
        """Drop the session and come back now; while waiting for the next attempt, make it now.

        Raises ``NotReady`` when no connection is wanted.
        """
        call_in_script(self._supervision.loop, self._supervision.reconnect)

    def retry_now(self) -> None:
        """While waiting for the next attempt, make it now; otherwise nothing is changed.

        Raises ``NotReady`` when no connection is wanted.
        """
        call_in_script(self._supervision.loop, self._supervision.retry_now)

    def ensure_fresh(self, max_age: float) -> None:
        """As ``ensure_fresh_async``, for programs without a running event loop."""
        refuse_running_loop("ensure_fresh()", "await connector.ensure_fresh_async()")
        run_in_script(script_loop(), self.ensure_fresh_async(max_age))

    async def ensure_fresh_async(self, max_age: float) -> None:
        """Make sure that the session lives, before an order is trusted to it: a half-open socket swallows one silently.

        Returns at once when a byte came within ``max_age`` seconds, otherwise when the gateway has told its time, which
        it is asked no more than once in ``policy.probe_apart`` seconds. Raises ``NotReady`` when it does not, within
        ``policy.suspect_after`` after that, and when there is no session.
        """
        await self._supervision.ensure_fresh(max_age, self.ib.reqCurrentTimeAsync)

    def on_status(self, callback: Callable[[Status], object]) -> Callable[[], None]:
        """Call a plain function with every new status, in the loop's thread; returns what ends that."""
        return self._listeners.add(callback)

    def changes(self) -> AsyncIterator[Status]:
        """The status now, then every new one; a slow reader gets the latest. Ends when its reader does."""
        return self._supervision.changes()

    def wait_ready(self, timeout: float | None = None) -> Status:
        """As ``wait_ready_async``, for programs without a running event loop."""
        refuse_running_loop("wait_ready()", "await connector.wait_ready_async()")
        return run_in_script(script_loop(), self.wait_ready_async(timeout))

    async def wait_ready_async(self, timeout: float | None = None) -> Status:  # noqa: ASYNC109 - the design's signature
        """The status, once it is ``READY``.

        Raises ``NotReady`` after ``timeout`` seconds, and at once when nothing is under way that could lead there.
        """
        return await self._supervision.wait_ready(timeout)

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disconnect()

    async def __aenter__(self) -> Self:
        await self.connect_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.disconnect_async()

    def __repr__(self) -> str:
        status = self._supervision.latest
        return f"<IBConnector {status.endpoint} client {status.client_id}: {status}>"

    def _guard_ib(self) -> None:
        def refuse(*_args: object, **_options: object) -> NoReturn:
            raise RuntimeError(
                "this IB object is kept connected by an IBConnector: call connector.connect() or, in a running loop,"
                " 'await connector.connect_async()' instead of ib.connect()"
            )

        ib: Any = self.ib
        ib.connect = ib.connectAsync = refuse
        ib.disconnect = self.disconnect
        Guard(ib, lambda: self._supervision.latest)
