"""Gateways that answer each request from prepared data: one with an empty account, one with a large account.

The large account has the rows of the simulated gateway, with other ids. They are prepared in advance, so that
the benchmark measures the reader.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ib_async import IB, LimitOrder, MarketOrder, Stock

from bench.firehose import HOST, Session
from ibkr.simulator import Gateway
from ibkr.wire import FrameReader, encode_fields, frame, messages, order_messages
from ibkr.wire.layout import Layout

POSITIONS, ACCOUNT_VALUES, ORDERS, EXECUTIONS = 1_000, 2_000, 300, 1_000
_VERSION = 178
_ACCOUNT = "DU1234567"
_RECORDED = (messages.POSITION, messages.PORTFOLIO_VALUE, order_messages.OPEN_ORDER, order_messages.ORDER_STATUS)


class Rows(NamedTuple):
    """The prepared answers. ``answers`` has the complete answer to each request, by the message id of the request. Each
    row of ``executions`` has the bytes before and after the request's id."""

    answers: Mapping[str, bytes]
    executions: tuple[tuple[bytes, bytes], ...] = ()

    def executions_for(self, req_id: str) -> bytes:
        """The rows of executions, as the answer to this request."""
        return b"".join([frame(head + req_id.encode() + tail) for head, tail in self.executions])


async def record() -> dict[str, dict[str, object]]:
    """Return the values of one row of each kind, by the name of its layout. The simulated gateway sends these rows."""
    read, found = FrameReader(), dict[str, dict[str, object]]()
    wanted = {str(layout.message_id): layout for layout in (*_RECORDED, order_messages.EXEC_DETAILS)}

    def take(data: bytes) -> None:
        for body in read.feed(data):
            layout = wanted.get(body.partition(b"\0")[0].decode())
            if layout is not None:
                found[layout.name] = layout.decode(_VERSION, body)

    async with Gateway(id_hold=0) as simulated:
        ib = IB()
        ib.client.conn.hasData.connect(take)
        await ib.connectAsync(HOST, simulated.port, 1)
        stock = Stock("AAPL", "SMART", "USD", conId=265598)
        ib.placeOrder(stock, LimitOrder("BUY", 100, 1.0))
        filled = asyncio.Event()
        ib.placeOrder(stock, MarketOrder("BUY", 100)).filledEvent.connect(lambda _: filled.set())
        await filled.wait()
        ib.placeOrder(stock, LimitOrder("BUY", 100, 1.0))  # the last row of an order is a working order
        await ib.reqPositionsAsync()
        await ib.reqAccountUpdatesAsync(_ACCOUNT)
        await ib.reqOpenOrdersAsync()
        ib.disconnect()
        await ib.client.conn.disconnected
    return found


def large(rows: Mapping[str, Mapping[str, object]]) -> Rows:
    """The answers of a large account."""

    def many(layout: Layout, count: int, **ids: Callable[[int], object]) -> Iterator[bytes]:
        """Return rows with the recorded values. The ids of a row follow from its number."""
        for number in range(1, count + 1):
            own = {name: make(number) for name, make in ids.items()}
            yield frame(layout.encode(_VERSION, **{**rows[layout.name], **own}))

    contract = {"con_id": lambda number: 500_000 + number, "symbol": lambda number: f"S{number}"}
    orders = {"order_id": lambda number: number, "perm_id": lambda number: 1_000_000 + number}
    value = {"value": "1.0", "currency": "USD", "account": _ACCOUNT}
    values = [
        frame(messages.ACCOUNT_VALUE.encode(_VERSION, key=f"Key{number}", **value)) for number in range(ACCOUNT_VALUES)
    ]
    execution = {name: value for name, value in rows["execDetails"].items() if name != "req_id"}
    executions = []
    for number in range(1, EXECUTIONS + 1):
        ids = {"order_id": 10_000 + number, "perm_id": 2_000_000 + number, "exec_id": f"0000e0d5.{number:08}.01.01"}
        executions.append(order_messages.EXEC_DETAILS.encode_around(_VERSION, "req_id", **{**execution, **ids}))
    open_orders = zip(
        many(order_messages.OPEN_ORDER, ORDERS, **orders),
        many(order_messages.ORDER_STATUS, ORDERS, **orders),
        strict=True,
    )
    answers = {
        "61": b"".join([*many(messages.POSITION, POSITIONS, **contract), frame(encode_fields(62, 1))]),
        "5": b"".join([*itertools.chain(*open_orders), frame(encode_fields(53, 1))]),
        "6": b"".join(
            [*values, *many(messages.PORTFOLIO_VALUE, POSITIONS, **contract), frame(encode_fields(54, 1, _ACCOUNT))]
        ),
    }
    return Rows(answers, tuple(executions))


class Account(Session):
    """One client of a gateway with these rows."""

    def __init__(self, connection: socket.socket, rows: Rows) -> None:
        super().__init__(connection)
        self._rows = rows

    def _answer(self, fields: list[str]) -> None:
        answer = self._rows.answers.get(fields[0])
        if fields[0] == "7" and self._rows.executions:
            self._write(self._rows.executions_for(fields[2]) + frame(encode_fields(55, 1, fields[2])))
        elif answer is not None:
            self._write(answer)
        else:
            super()._answer(fields)


def _serve(server: socket.socket, rows: Rows) -> None:
    while True:
        connection, _ = server.accept()
        Account(connection, rows).start()


def main() -> None:
    rows = large(asyncio.run(record()))
    with socket.create_server((HOST, 0)) as empty, socket.create_server((HOST, 0)) as full:
        threading.Thread(target=_serve, args=(full, rows), daemon=True).start()
        print(empty.getsockname()[1], full.getsockname()[1], flush=True)
        _serve(empty, Rows({}))


if __name__ == "__main__":
    sys.exit(main())
