"""Tests one fault, which the gateway injects at one exact moment, and how the connection handles it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from ib_async import Ticker

from ibkr import ConnectError, ConnectionState, IBConnector, Policy, Status
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, NextTick

CLIENT_ID = 7
SLACK = 2.0
"""Seconds that a loaded machine may need in addition to the time that the policy allows."""

SHORT = {
    "connect_attempts": 4,
    "connect_pause": 0.05,
    "disconnect_grace": 0.05,
    "refused_every": 0.05,
    "closed_every": 0.05,
    "backoff_first": 30.0,
    "backoff_cap": 30.0,
    "flap_pause": 30.0,
}
"""A policy with short times. The three waits of 30 s stay long, because no lost session may cause them."""

LETTERS = {
    ConnectionState.DISCONNECTED: "D",
    ConnectionState.CONNECTING: "C",
    ConnectionState.SYNCING: "S",
    ConnectionState.READY: "R",
    ConnectionState.DEGRADED: "G",
    ConnectionState.RECONNECTING: "B",
    ConnectionState.FAILED: "F",
}
LEGAL = {"D": "C", "C": "SGF", "S": "RGCB", "R": "BSG", "G": "RSBC", "B": "SGF", "F": "C"}
"""The states that may follow each state while the caller wants a connection, for faults without a row."""


@pytest.fixture
def nothing_unheard(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails on an exception that nobody retrieved, in a future or a callback: asyncio logs those."""
    yield
    records = [*caplog.get_records("setup"), *caplog.get_records("call"), *caplog.get_records("teardown")]
    assert [record.getMessage() for record in records if record.name == "asyncio"] == []


@pytest.fixture
async def drill(
    nothing_unheard: None, gateway: Gateway, next_tick: NextTick
) -> AsyncIterator[Callable[[Any], Awaitable[None]]]:
    """Runs a case: ``await drill(case)``."""
    drills: list[Drill] = []

    async def run(case: Any) -> None:
        drills.append(Drill(gateway, case, next_tick))
        await drills[-1].run()

    yield run
    for each in drills:
        await each.connector.disconnect_async()
    drills.clear()


class Drill:
    """One case, with a connector of its own.

    ``life`` is the sequence of its states so far, one letter each.
    """

    def __init__(self, gateway: Gateway, case: Any, next_tick: NextTick) -> None:
        self.gateway, self.case, self.row = gateway, case, case.row
        numbers = {**SHORT, **self.row.policy}
        timeout = numbers.pop("timeout", 5.0)
        self.policy = Policy(**{"region": "none"} | numbers)
        self.connector = IBConnector("127.0.0.1", gateway.port, CLIENT_ID, timeout, policy=self.policy)
        self.life = LETTERS[self.connector.status.state]
        self.begun: dict[int, float] = {}
        self.connector.on_status(self._note)
        self.next_tick = next_tick
        self.struck = False
        self.ticker: Ticker | None = None

    async def run(self) -> None:
        if self.case.is_first:
            await self._strike_first()
        elif self.case.group == "disconnect":
            await self._strike_in_disconnect()
        else:
            await self._strike_later()
        await self._cure()
        await self._prove()

    # --- the fault ---------------------------------------------------------------------------------------------------

    def _strike(self, gateway: Gateway) -> None:
        gateway.faults.call(self.case.fault.name, *self.row.arguments_in(self.case.phase))
        if self.case.drops:
            gateway.faults.call("close")
        self.struck = True

    async def _strike_first(self) -> None:
        self.gateway.on_received(self.case.phase, self._strike)
        raised: ConnectError | None = None
        async with self._allowed(self._felt_within):
            try:
                assert await self.connector.connect_async()
            except ConnectError as error:
                raised = error
        assert self.struck
        if self.row.is_known:
            assert self.row.error is (type(raised) if raised else None)
            assert raised is None or raised.attempts == 2
            assert self.row.says in self.connector.status.reason
            assert self.life == self.case.during
        # The times of the connector's attempts are compared, not the gateway's connections: each look at the port also
        # makes a connection.
        begun = self.begun.values()
        assert all(later - one >= 0.99 * self.policy.connect_pause for one, later in pairwise(begun))

    async def _strike_later(self) -> None:
        await self._connect_and_subscribe()
        if self.case.group == "ready":
            self._strike(self.gateway)
        else:
            self.gateway.on_received("reqPositions", self._strike)
            self.gateway.faults.call("reset")
        async with self._allowed(self._felt_within):
            await self._until(lambda status: self.struck and self._is_felt(status))
            if self.connector.status.state is ConnectionState.READY and self.row.is_known:
                await self.connector.ib.reqCurrentTimeAsync()  # no other change was still to come
        if self.row.is_known:
            assert self.life == self.case.during

    def _is_felt(self, status: Status) -> bool:
        if not self.row.is_known:
            return True
        if self.row.error:
            kind = self.row.error_kind
            return status.state is ConnectionState.RECONNECTING and status.last_error.startswith(kind)
        if self.row.says:
            return status.state is ConnectionState.DEGRADED and self.row.says in status.reason
        return status.state is ConnectionState.READY and status.outages == self.case.outages

    async def _strike_in_disconnect(self) -> None:
        await self._connect_and_subscribe()
        self.gateway.on_received("end", self._strike)
        async with self._allowed(self.policy.disconnect_grace):
            assert await self.connector.disconnect_async()
        await self.gateway.wait_for(lambda gateway: self.struck)
        assert self.life == "DCSRD"
        self.ticker = None

    # --- and after it ------------------------------------------------------------------------------------------------

    async def _cure(self) -> None:
        await self.gateway.fault("clear")
        if self.row.cure:
            await self.gateway.fault(self.row.cure)
        async with self._allowed(self._back_within):
            if self.life[-1] in "DF":
                assert await self.connector.connect_async()
            await self.connector.wait_ready_async()
            while not self.row.is_known and not await self._is_true():
                await self.connector.wait_ready_async()
        if self.case.group == "disconnect":
            assert self.life == "DCSRDCSR"
        elif self.row.is_known:
            assert self.life in [self.case.during + after for after in self.case.after]
        else:
            assert self.life.endswith("R")
            assert all(then in LEGAL[state] for state, then in pairwise(self.life)), self.life

    async def _is_true(self) -> bool:
        """Whether the session answers. The connector may not know yet that it is lost."""
        try:
            await self.connector.ib.reqCurrentTimeAsync()
        except ConnectionError:
            return False
        return self.connector.status.state is ConnectionState.READY

    async def _prove(self) -> None:
        """The program's ticker ticks, the gateway has one session and one stream, and orders are allowed."""
        status = self.connector.status
        assert status.may_trade is not status.read_only
        if self.row.is_known:
            assert status.read_only is self.case.is_read_only
        self.ticker = self.ticker or self.connector.ib.reqMktData(AAPL)
        await self._tick(self.ticker)
        assert self.connector.ib.tickers() == [self.ticker]
        assert self.gateway.client_ids == [CLIENT_ID]
        assert list(self.gateway.seen.live_subscriptions(CLIENT_ID).values()) == ["AAPL"]
        if self.row.is_known and self.case.keeps_socket:
            assert self.gateway.seen.connects == (2 if self.case.group in ("recovery", "disconnect") else 1)

    async def _connect_and_subscribe(self) -> None:
        assert await self.connector.connect_async()
        self.ticker = self.connector.ib.reqMktData(AAPL)
        await self._tick(self.ticker)

    async def _tick(self, ticker: Ticker) -> None:
        async with asyncio.timeout(SLACK):
            await self.next_tick(ticker)

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _note(self, status: Status) -> None:
        if status.attempt:
            self.begun.setdefault(status.attempt, time.monotonic())
        letter = LETTERS[status.state]
        if letter != self.life[-1]:
            self.life += letter

    async def _until(self, holds: Callable[[Status], bool]) -> None:
        async for status in self.connector.changes():
            if holds(status):
                return

    def _allowed(self, seconds: float) -> asyncio.Timeout:
        return asyncio.timeout(seconds + SLACK)

    @property
    def _felt_within(self) -> float:
        """Seconds until the fault shows or is over. Of the row's policy, only the values that the row sets are used."""
        policy, numbers = self.policy, self.row.policy
        attempt = policy.connect_pause + numbers.get("timeout", 0)
        probe = numbers.get("probe_after", 0) + numbers.get("probe_timeout", 0)
        return self.row.lasts + policy.connect_attempts * attempt + probe + 2 * numbers.get("request_timeout", 0)

    @property
    def _back_within(self) -> float:
        """Seconds from the cure to READY: the wait before an attempt, and the attempt that was running at the cure.

        After a start-up without upstream, start-up runs again. Its requests are sent at the allowed rate.
        """
        numbers = self.row.policy
        again = 10 / self.policy.send_rate if "upstream" in self.case.fault.name else 0.0
        return float(numbers.get("backoff_cap", self.policy.refused_every) + numbers.get("timeout", 0)) + again
