"""What we send: how fields become text, and in how many writes messages leave."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_UNSET_INTEGER = 2**31 - 1
_UNSET_DOUBLE = 1.7976931348623157e308


def sender_of(client: Any) -> Callable[..., None]:
    """Stands in for the client's ``send``, which builds its table of formatters anew for each message."""
    from ib_async import Contract

    def text_of(field: Any, make_empty: bool) -> str:
        if isinstance(field, Contract):
            return _contract(field)
        return _text(field, make_empty)

    def send(*fields: Any, makeEmpty: bool = True) -> None:
        if not client.isConnected():
            raise ConnectionError("Not connected")
        client.sendMsg("".join([text_of(field, makeEmpty) + "\0" for field in fields]))

    return send


def _text(field: Any, make_empty: bool) -> str:
    """One field as ib_async 2.1 writes it: 'Infinite', and nothing for values that are not set."""
    kind = type(field)
    if kind is bool:
        return "1" if field else "0"
    if field is None or (make_empty and field == (_UNSET_INTEGER if kind is int else _UNSET_DOUBLE)):
        return ""
    if kind is float and field == math.inf:
        return "Infinite"
    if kind is list:
        return "".join([f"{item.tag}={item.value};" for item in field])
    return str(field)


def _contract(contract: Any) -> str:
    return "\0".join(
        [
            str(part)
            for part in (
                contract.conId,
                contract.symbol,
                contract.secType,
                contract.lastTradeDateOrContractMonth,
                contract.strike,
                contract.right,
                contract.multiplier,
                contract.exchange,
                contract.primaryExchange,
                contract.currency,
                contract.localSymbol,
                contract.tradingClass,
            )
        ]
    )


@contextmanager
def one_write(conn: Any) -> Iterator[None]:
    """Messages sent meanwhile leave together: a system call each is most of what a start-up costs."""
    messages: list[bytes] = []
    conn.sendMsg = messages.append
    try:
        yield
    finally:
        del conn.sendMsg
        if messages:
            conn.sendMsg(b"".join(messages))
            conn.numMsgSent += len(messages) - 1
