"""At random moments, kill a program that trades with a journal. The next program must account for every order.

After each kill, the simulator's own record is compared with the journal, the next program's gap report, and the orders
that this program calls unconfirmed. Each order and each execution must be in exactly one of these three.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from ib_async import LimitOrder, Stock

from ibkr import GapReport, IBConnector, NotReady, Policy
from ibkr.core.gap_report import EARLIER_DAY, BrokerSnapshot
from ibkr.core.journal_records import LastKnownState
from ibkr.core.order_records import SentOrder
from ibkr.journal.rows import read_known
from ibkr.simulator import Gateway
from ibkr.simulator.broker.order import SUBMITTED
from soak.harness import CLIENT_ID, NotHeld

T = TypeVar("T")

CHILD = Path(__file__).with_name("trading_program.py")
LONGEST_LIFE = 0.8
"""Seconds from the child's session to its kill, at most."""
BEFORE_SESSION = 0.1
"""The share of the kills that come before there is a session."""
WITH_FAULT = 0.3
FAULTS = (("reset",), ("1100",), ("1101",), ("1102",), ("mute", "placeOrder"), ("freeze",), ("late_executions",))
"""Faults that come before some of the kills, so that a program also dies in an outage, or in the start-up after it."""
AT_A_TIME = 100
"""The number of kills with one gateway and one journal. Both grow, and so each start-up takes longer."""
AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


class CrashOracle:
    """Gateways with one journal each; the trading programs run one after the other."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._dice = folder, random.Random(seed)
        self.orders = self.executions = self.unconfirmed = self.missed = 0
        """The numbers of all orders and executions that were accounted for."""

    async def run(self, kills: int) -> None:
        """Run this many programs and kill each of them. Raises ``NotHeld`` if a check fails."""
        for first in range(0, kills, AT_A_TIME):
            self._journal = self._folder / f"journal-{first}.sqlite"
            await self._run_one(first, min(first + AT_A_TIME, kills))

    async def _run_one(self, first: int, end: int) -> None:
        async with Gateway(id_hold=0, tick_interval=0.05) as gateway:
            for number in range(first, end):
                await self._live_and_die(gateway)
                lost = self._read(gateway)
                await gateway.fault("roll_back_order_id", 1)
                try:
                    await self._succeed(gateway, lost)
                except (NotHeld, NotReady, TimeoutError) as error:
                    raise NotHeld(f"kill {number + 1}: {error!r}") from error
            self.orders += sum(order.client_id == CLIENT_ID for order in gateway.orders)
            self.executions += len(gateway.executions)

    async def _live_and_die(self, gateway: Gateway) -> None:
        """Start a program and kill it. The market continues before and after that."""
        arguments = (str(CHILD), str(gateway.port), str(self._journal), str(self._dice.randrange(10**9)))
        child = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        assert child.stdout is not None
        try:
            await child.stdout.readline()
            if self._dice.random() < BEFORE_SESSION:
                await asyncio.sleep(self._dice.uniform(0, 0.2))
            else:
                if not await child.stdout.readline():
                    raise NotHeld("a program did not connect")
                await self._live(gateway)
        finally:
            child.kill()
            await child.wait()
        await gateway.fault("clear")
        await gateway.fault("1102")
        live = sum(order.is_live for order in gateway.orders)
        for _ in range(self._dice.randint(0, live)):
            self._trade(gateway)
        await gateway.wait_for(_has_reported_fills)  # the next program would get late executions after its report

    async def _live(self, gateway: Gateway) -> None:
        for _ in range(self._dice.randint(0, 3)):
            await asyncio.sleep(self._dice.uniform(0, LONGEST_LIFE / 3))
            self._trade(gateway)
            if self._dice.random() < WITH_FAULT:
                await gateway.fault(*self._dice.choice(FAULTS))
        await asyncio.sleep(self._dice.uniform(0, LONGEST_LIFE / 3))

    def _trade(self, gateway: Gateway) -> None:
        """Fill or cancel one of the resting orders."""
        live = [order for order in gateway.orders if order.status == SUBMITTED and order.client_id == CLIENT_ID]
        if not live:
            return
        order = self._dice.choice(live)
        if self._dice.random() < 0.7:
            gateway.fill(order.order_id, price=1.0)
        else:
            gateway.cancel_order(order.order_id)

    def _read(self, gateway: Gateway) -> LastKnownState:
        """Read the journal after the kill. It must have one intent for each order that arrived at the gateway."""
        with closing(sqlite3.connect(self._journal)) as database:
            if not database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'gaps'").fetchone()[0]:
                # The program was killed before it had opened its journal for the first time.
                _hold("orders that have arrived without a journal", self._own_orders(gateway))
                return LastKnownState(BrokerSnapshot({}, {}, {}))
            ids = Counter(each for (each,) in database.execute("SELECT order_id FROM intents WHERE kind = 'order'"))
            there = self._own_orders(gateway)
            _hold("orders that have arrived without an intent", [each for each in there if not ids[each]])
            _hold("order ids used twice", [order_id for order_id, times in ids.items() if times > 1])
            return read_known(database, datetime.min.replace(tzinfo=UTC))

    @staticmethod
    def _own_orders(gateway: Gateway) -> list[int]:
        return [order.order_id for order in gateway.orders if order.client_id == CLIENT_ID]

    async def _succeed(self, gateway: Gateway, lost: LastKnownState) -> None:
        """Open the journal as the next program does, compare, and use one more id."""
        policy = Policy(region="none", restore_grace=0.05)
        connector = IBConnector("127.0.0.1", gateway.port, CLIENT_ID, policy=policy, journal=self._journal)
        told: asyncio.Queue[GapReport] = asyncio.Queue()
        connector.on_gap(told.put_nowait)
        try:
            await connector.connect_async()
            await connector.wait_ready_async(10)
            report = None
            if lost.until is not None:
                async with asyncio.timeout(10):
                    report = await told.get()
            self._check(gateway, lost, report, connector.status.unconfirmed)
            connector.clear_unconfirmed()
            trade = connector.ib.placeOrder(AAPL, LimitOrder("BUY", 1, 1.0, orderRef=f"after {self._dice.random()}"))
            _hold("an id that is not above the ids of the journal", trade.order.orderId <= lost.highest_id)
            async with asyncio.timeout(10):
                # The order is then submitted, or refused because there are too many orders.
                while trade.orderStatus.status == "PendingSubmit":
                    await connector.ib.updateEvent
        finally:
            await connector.disconnect_async()

    def _check(
        self, gateway: Gateway, lost: LastKnownState, report: GapReport | None, unconfirmed: tuple[SentOrder, ...]
    ) -> None:
        was = lost.picture
        missed = [] if report is None else [each.exec_id for each in report.executions]
        told = Counter([*was.executions, *missed])
        there = {each.exec_id for each in gateway.executions}
        _hold("executions not accounted for exactly once", _not_once(there, told))
        new = [] if report is None else [each.perm_id for each in (*report.orders_appeared, *report.orders_confirmed)]
        orders = Counter([*was.orders, *was.ended, *new])
        own = {order.perm_id: order.order_id for order in gateway.orders if order.client_id == CLIENT_ID}
        _hold("orders not accounted for exactly once", _not_once(own, orders) if lost.until else [])
        never_came = [each.terms[0].order_id for each in lost.lost.values()]
        never_came = [order_id for order_id in never_came if order_id not in own.values()]
        named = [order.order_id for order in unconfirmed if not order.is_change]
        not_missing = Counter(named) - Counter(never_came) - Counter(_without_evidence(gateway, lost))
        _hold("unconfirmed, and not what is missing at the broker", sorted(not_missing))
        _hold("missing at the broker, and not unconfirmed", sorted(Counter(never_came) - Counter(named)))
        if report is not None:
            _hold("vanished", report.orders_vanished)
            # EARLIER_DAY is correct if midnight has passed.
            _hold("incomplete", [each for each in report.incomplete if each != EARLIER_DAY])
            _hold("positions unexplained", [each for each in report.positions if not each.is_explained])
        self.unconfirmed += len(named)
        self.missed += len(missed)


def _has_reported_fills(gateway: Gateway) -> bool:
    """Whether the gateway has reported each fill: with ``late_executions``, some come 2 s after an outage."""
    reported = Counter[int]()
    for each in gateway.executions:
        reported[each.order.perm_id] += int(each.shares)
    return all(reported[order.perm_id] == order.filled for order in gateway.orders)


def _without_evidence(gateway: Gateway, lost: LastKnownState) -> list[int]:
    """The lost orders that may stay unconfirmed although they reached the broker.

    They were sent before the gap report of their session, and were cancelled before they were filled. Only completed
    orders show that, and the journal does not know which of these are older than the lost order.
    """
    cancelled = {order.order_id for order in gateway.orders if not order.is_live and not order.filled}
    found = (each.terms[0].order_id for each in lost.lost.values() if not each.knew_ended)
    return [order_id for order_id in found if order_id in cancelled]


def _not_once(wanted: Iterable[T], counted: Counter[T]) -> list[tuple[T, int]]:
    return [(each, counted[each]) for each in wanted if counted[each] != 1]


def _hold(what: str, found: object) -> None:
    if found:
        raise NotHeld(f"{what}: {found}")


async def crash(kills: int, seed: int) -> CrashOracle:
    """Run this soak in a temporary folder. Raises ``NotHeld`` if a check fails."""
    with tempfile.TemporaryDirectory() as folder:
        oracle = CrashOracle(Path(folder), seed)
        await oracle.run(kills)
        return oracle
