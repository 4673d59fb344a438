"""Random orders under every fault. At the end, the program's view of its orders equals the broker's.

``python -m soak.orders [OPERATIONS] [WAY] [SEED]``. WAY is loop, script or thread; without WAY, all three run in turn.
The program is compared with the simulator's own record: each order that arrived, its terms, its status and its fills.

This file has over 300 lines because the program, the market and the comparison belong together.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from ib_async import Contract, LimitOrder, Option, Trade

from ibkr import IBConnector, NotReady, Policy
from ibkr.simulator import Gateway, Order
from ibkr.simulator.market.instrument_loader import load_instruments
from soak.run_modes import Stage, run, stage

WAYS = ("loop", "script", "thread")
HOST, CLIENT_ID, ACCOUNT = "127.0.0.1", 7, "DU1234567"
AT_A_TIME = 700
SETTLED = 10.0
"""Seconds after the last fault within which the program and the broker must agree."""
POLICY = Policy(
    probe_after=0.3,
    probe_apart=0.05,
    suspect_after=0.1,
    probe_timeout=0.3,
    request_timeout=0.5,
    missing_every=0.3,
    connect_pause=0.05,
    backoff_first=0.05,
    backoff_cap=0.2,
    close_grace=0.02,
    flap_limit=10_000,
    late_look=0.3,
    late_look_last=0.6,
    order_ack_after=0.2,
    upstream_grace=0.1,
    region="none",
)
OVER = {"Filled", "Cancelled", "ApiCancelled", "Inactive"}
CONTRACTS = [
    Contract(item.sec_type, item.con_id, item.symbol, exchange="SMART", currency=item.currency)
    for item in load_instruments().live
    if item.sec_type == "STK"
][:6]


class Difference(AssertionError):
    """The program and the broker do not agree. The text names the difference."""


class Program:
    """Places, changes and cancels orders at random, in each kind of place where a program can do this."""

    def __init__(self, connector: IBConnector, chance: random.Random) -> None:
        self._connector, self._chance = connector, chance
        self.trades: dict[int, Trade] = {}
        self.exercises: list[int] = []
        self.refused = 0
        self.wrong: list[str] = []
        self._in_callback: list[Callable[[], None]] = []
        connector.ib.orderStatusEvent.connect(self._called, keep_ref=True)
        connector.ib.execDetailsEvent.connect(self._called, keep_ref=True)
        connector.on_status(self._called)
        conn: Any = connector.ib.client.conn
        write = conn.sendMsg

        def watched(message: bytes) -> None:
            if message[4:6] in (b"3\0", b"21"):
                self._leaves(message)
            write(message)

        conn.sendMsg = watched

    def _leaves(self, message: bytes) -> None:
        known = repr(self._connector)  # in a script, reading .status would process network events
        if "may trade" not in known:
            self.wrong.append(f"an order was sent while {known}: {message[4:40]!r}")

    def _called(self, *_told: object) -> None:
        if self._in_callback:
            self._in_callback.pop()()

    def step(self) -> None:
        """Do one thing, now or in the next callback."""
        act = self._chance.choice(
            [self.place, self.place, self.place, self.bracket, self.change, self.change, self.cancel, self.exercise]
        )
        if self._chance.random() < 0.2:
            self._in_callback.append(lambda: self._try(act))
        else:
            self._try(act)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except NotReady:
            self.refused += 1

    def _limit(self, **fields: Any) -> LimitOrder:
        order_id = self._connector.ib.client.getReqId()
        side, price = self._chance.choice([("BUY", 1.0), ("SELL", 100_000.0)])
        quantity = self._chance.randint(1, 9) * 10
        return LimitOrder(
            side, quantity, price, orderId=order_id, account=ACCOUNT, orderRef=f"order {order_id}", **fields
        )

    def _send(self, contract: Contract, order: LimitOrder) -> None:
        trade = self._connector.ib.placeOrder(contract, order)
        self.trades[trade.order.orderId] = trade

    def place(self) -> None:
        self._send(self._chance.choice(CONTRACTS), self._limit())

    def bracket(self) -> None:
        contract, parent = self._chance.choice(CONTRACTS), self._limit(transmit=False)
        self._send(contract, parent)
        for transmit in (False, True):
            self._send(contract, self._limit(transmit=transmit, parentId=parent.orderId))

    def _live(self) -> list[Trade]:
        return [each for each in self.trades.values() if not each.isDone() and each.orderStatus.status == "Submitted"]

    def change(self) -> None:
        live = self._live()
        if live:
            trade = self._chance.choice(live)
            before = trade.order.totalQuantity, trade.order.lmtPrice
            trade.order.transmit = True  # it is False if the last order of its bracket was refused
            trade.order.totalQuantity += 10
            trade.order.lmtPrice = round(float(trade.order.lmtPrice or 1.0) * 1.01, 2)
            try:
                self._connector.ib.placeOrder(trade.contract, trade.order)
            except NotReady:
                trade.order.totalQuantity, trade.order.lmtPrice = before
                raise

    def cancel(self) -> None:
        live = self._live()
        if live:
            self._connector.ib.cancelOrder(self._chance.choice(live).order)

    def exercise(self) -> None:
        req_id = self._connector.ib.client.getReqId()
        option = Option("AAPL", "20270115", 200, "C", "SMART", conId=7)
        self._connector.ib.client.exerciseOptions(req_id, option, 1, 1, ACCOUNT, 0)
        self.exercises.append(req_id)


class Market:
    """The broker's side: random fills, cancels and faults."""

    def __init__(self, gateway: Gateway, chance: random.Random) -> None:
        self._gateway, self._chance = gateway, chance
        self.played: Counter[str] = Counter()

    def step(self) -> None:
        """Fill or cancel an order."""
        live = [each for each in self._gateway.orders if each.client_id == CLIENT_ID and each.status == "Submitted"]
        if not live:
            return
        order = self._chance.choice(live)
        if self._chance.random() < 0.8:
            left = order.terms.quantity - order.filled
            self._gateway.fill(
                order.order_id, self._chance.choice([left, max(1.0, left // 2)]), order.terms.limit_price or 1.0
            )
        else:
            self._gateway.cancel_order(order.order_id)

    async def fault(self) -> None:
        """Run a fault and wait for its end. A fault that only ``clear`` ends stays active."""
        name = self._chance.choice(list(FAULTS))
        self.played[name] += 1
        for line in FAULTS[name]:
            if isinstance(line, float):
                await asyncio.sleep(line * self._chance.random())
            else:
                fault, *arguments = line.split()
                await self._gateway.fault(fault, *map(_typed, arguments))


FAULTS: dict[str, tuple[str | float, ...]] = {
    "reset": ("reset",),
    "close": ("close",),
    "restart": ("restart 0.1",),
    "1101": ("1100", 0.3, "1101"),
    "1102": ("1100", 0.3, "1102"),
    "1101 out of the blue": ("1101",),
    "1100, then a reset": ("1100", 0.2, "reset", 0.1, "1102"),
    "half-open": ("freeze", 0.6, "thaw"),
    "orders swallowed": ("mute placeOrder", 0.3, "1100", "clear", 0.1, "1102"),
    "orders swallowed, reset": ("mute placeOrder", 0.3, "clear", "reset"),
    "cancels swallowed": ("mute cancelOrder", 0.3, "clear", "reset"),
    "exercises swallowed": ("mute exerciseOptions", 0.3, "clear", "reset"),
    "no word of orders": ("drop_message openOrder", "drop_message orderStatus", 0.3, "clear", "reset"),
    "no word of fills": (
        "drop_message execDetails",
        "drop_message orderStatus",
        "drop_message commissionReport",
        0.3,
        "clear",
        "reset",
    ),
    "everything late": ("delay_message any 0.1", 0.3, "clear", "reset"),
    "notes": ("note_orders 10349",),
    "changes refused": ("refuse_changes 201 3",),
    "cancels refused": ("refuse_cancels 161 3",),
    "orders rejected": ("reject_orders 201 3",),
    "late executions": ("late_executions 0.2", "1100", 0.2, "1102", 0.4, "late_executions 0"),
    "messages split": ("split_frames", 0.2, "clear"),
    "a message cut short": ("truncate_message",),
    "reported twice": ("duplicate_message orderStatus 5", "duplicate_message execDetails 5"),
    "too fast": ("warn_of_pace",),
    "read-only": ("read_only", 0.2, "end_read_only", "reset"),
}


def _typed(text: str) -> Any:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def _check(program: Program, connector: IBConnector, orders: list[Order]) -> list[str]:
    """Compare the program with the record."""
    found = list(program.wrong)
    arrived: dict[int, list[Order]] = {}
    for each in orders:
        if each.client_id == CLIENT_ID:
            arrived.setdefault(each.order_id, []).append(each)
    unconfirmed = {order.order_id: order for order in connector.status.unconfirmed if not order.is_change}
    record: dict[int, list[Order | None]] = {
        key: [each for each in rows if each.status != "PendingSubmit"] or [None] for key, rows in arrived.items()
    }
    found += [f"order {key} arrived {len(each)} times" for key, each in record.items() if len(each) > 1]
    for order_id, trade in program.trades.items():
        wrong = _differences(trade, record.get(order_id, [None])[0], unconfirmed.get(order_id))
        found += [
            f"{each}; its log: {[(x.time.isoformat()[14:], x.status, x.message) for x in trade.log]}" for each in wrong
        ]
    lost = [key for key in program.exercises if key not in record and key in unconfirmed]
    known = program.trades.keys() | set(lost)
    found += [f"order {key} is unconfirmed, and nobody has sent it" for key in unconfirmed.keys() - known]
    return found


def _differences(trade: Trade, order: Order | None, unconfirmed: Any) -> list[str]:
    name, status = f"order {trade.order.orderId}", trade.orderStatus
    if order is None:
        if trade.isDone() and unconfirmed is None and (trade.log[-1].errorCode or not trade.fills):
            return []  # the order was refused
        if unconfirmed is not None and not trade.fills:
            return []
        untransmitted = not trade.order.transmit
        return [] if untransmitted else [f"{name} is not at the broker, nor reported: {status.status} {trade.log}"]
    if unconfirmed is not None:
        return [f"{name} is at the broker ({order.status}), and unconfirmed: {unconfirmed}"]
    told = (status.status in OVER, trade.filled(), len({fill.execution.execId for fill in trade.fills}))
    truth = (order.status in OVER, order.filled, len(trade.fills))
    found = [] if told == truth else [f"{name}: {told} is not {truth} ({status.status}, {order.status})"]
    if status.status != order.status and not {status.status, order.status} <= OVER:
        found.append(f"{name}: {status.status} is not {order.status}")
    if order.status not in OVER:
        terms = trade.order.totalQuantity, trade.order.lmtPrice
        if terms != (order.terms.quantity, order.terms.limit_price):
            found.append(f"{name}: terms {terms} are not {order.terms.quantity, order.terms.limit_price}")
    return found


async def play(way: str, seed: int, operations: int) -> Counter[str]:
    """Run this many operations, with faults between them. Returns what was done. Raises `Difference`."""
    chance = random.Random(seed)

    def connector(port: int) -> IBConnector:
        return IBConnector(HOST, port, CLIENT_ID, 1.0, account=ACCOUNT, policy=POLICY)

    async with stage(way, connector, chance, accounts=(ACCOUNT,), tick_interval=0.5, id_hold=0.05) as where:
        program = where.program(lambda: Program(where.connector, chance))
        market = Market(where.gateway, random.Random(seed + 1))
        done = 0
        while done < operations:
            for _ in range(chance.randint(1, 12)):
                where.program(program.step)
                done += 1
                if chance.random() < 0.3:
                    where.gateways(market.step)
                if chance.random() < 0.5:
                    await where.pause(0.02 * chance.random())
            fault = where.gateways(lambda: asyncio.ensure_future(market.fault()))
            for _ in range(chance.randint(0, 6)):
                where.program(program.step)
                done += 1
                where.gateways(market.step)
                await where.pause(0.05 * chance.random())
            while not fault.done():
                await where.pause(0.02)
            fault.result()
            if chance.random() < 0.7:
                await where.ready()
            if chance.random() < 0.3:
                await settle(program, where)
        await settle(program, where)
    return market.played


async def settle(program: Program, where: Stage) -> None:
    """End all faults, and wait until the two agree."""
    await where.fault("clear")
    end = time.monotonic() + SETTLED
    await where.ready()
    while found := where.program(lambda: _check(program, where.connector, where.gateways(_orders_of(where)))):
        if time.monotonic() > end or program.wrong:
            raise Difference("\n".join(found))
        await where.pause(0.05)


def _orders_of(where: Stage) -> Callable[[], list[Order]]:
    return lambda: where.gateway.orders


def main() -> int:
    """Run this many operations, in all ways or in the given way. Returns 1 after a difference, otherwise 0."""
    logging.disable(logging.CRITICAL)
    operations = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    ways = sys.argv[2:3] or list(WAYS)
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(2**32)
    for way in ways:
        left = operations // len(ways)
        while left > 0:  # each part has a new gateway: with thousands of orders, start-up exceeds POLICY
            print(f"{min(left, AT_A_TIME)} operations in a {way}, seed {seed}", flush=True)
            try:
                played = run(way, play(way, seed, min(left, AT_A_TIME)))
            except Difference as error:
                print(f"{way}, seed {seed}: the program and the broker do not agree:\n{error}")
                return 1
            print(", ".join(f"{name}: {times}" for name, times in sorted(played.items())))
            left, seed = left - AT_A_TIME, seed + 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
