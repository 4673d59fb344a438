"""Overrides the library's client: outgoing requests, request ids, message encoding, client side of the handshake.

This file has over 300 lines because the library's client has a method for each request.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ibkr.wire.frame import frame
from ibkr.wire.handshake import ClientHello, hello_bytes

if TYPE_CHECKING:
    from ib_async import Contract, Order
    from typing_extensions import override

    from ibkr.session.library.connection import ConnectionOverrides
    from ibkr.session.library.decoder import DecoderOverrides
    from ibkr.session.library.hooks import Arguments, Hooks
    from ibkr.session.library.stream_requests import StreamRequests as _Base
    from ibkr.session.library.wrapper import WrapperOverrides
else:
    from ibkr.session.library.mixin_base import override
    from ibkr.session.library.stream_requests import StreamRequests as _Base

logger = logging.getLogger("ibkr.session")

_LAST_ID = 2**31 - 2
"""The highest valid id. IB's ids are signed 32-bit integers, and the largest one means "no id"."""
_DIGITS = 20
"""No id has this many digits. Python refuses to parse numbers of thousands of digits."""
_UNSET = (1.7976931348623157e308, 2**31 - 1)
"""The numbers that the library uses for "not set"."""


class ClientOverrides(_Base):
    """Has one sequence of ids and one traffic count for all sessions. Every request goes through the hooks."""

    conn: ConnectionOverrides
    decoder: DecoderOverrides
    wrapper: WrapperOverrides
    hooks: Hooks
    _contract_class: type[Contract]
    _traffic_before: tuple[int, int, int, int]
    _ignores_ids: bool

    def adopt(self, hooks: Hooks, contract_class: type[Contract]) -> None:
        """Set what the constructor of the library's class does not set."""
        self.hooks = hooks
        self._contract_class = contract_class
        self._traffic_before = (0, 0, 0, 0)
        self._ignores_ids = False

    # Session begin and end.

    @override
    async def connectAsync(
        self,
        host: str,
        port: int,
        clientId: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's name
    ) -> None:
        """Connect, and send the hello message. The reader handles the answers."""
        self.host, self.port, self.clientId = host, int(port), int(clientId)
        self.connState = self.CONNECTING
        await self.conn.connectAsync(host, port)
        # Do not send this earlier: if an answer arrived before the event loop is done with connecting, the attempt
        # would end too soon, and uvloop would not report the end of the socket.
        hello = ClientHello(self.MinClientVersion, self.MaxClientVersion, self.connectOptions.decode())
        self.conn.sendMsg(hello_bytes(hello))

    @property
    def has_version(self) -> bool:
        """Whether the gateway has sent its protocol version."""
        return bool(self._serverVersion)

    def take_version(self, fields: list[str]) -> bool:
        """Read the gateway's version, which is its first message. Returns False for another message."""
        if self._serverVersion or len(fields) != 2:
            return False
        self._serverVersion = self.decoder.serverVersion = int(fields[0])
        self.connState = self.CONNECTED
        self.startApi()
        self.wrapper.connectAck()
        return True

    def take_opening(self, fields: list[str]) -> bool:
        """Read the accounts or the next id from a message. Returns whether both are known now."""
        match fields:
            case ["9", _, next_id] if next_id.isdecimal() and len(next_id) < _DIGITS:
                self.updateReqId(int(next_id))
                self._hasReqId = True
            case ["15", _, accounts]:
                self._accounts = [account for account in accounts.split(",") if account]
            case _:
                return False
        self._apiReady = self._hasReqId and bool(self._accounts)
        return self._apiReady

    @override
    def reset(self) -> None:
        """Forget the session, but not the used ids."""
        self._traffic_before = self.traffic
        self.conn.numBytesSent = self.conn.numMsgSent = 0
        upcoming = self._reqIdSeq
        super().reset()
        self._reqIdSeq = upcoming

    # Traffic counters.

    @property
    def traffic(self) -> tuple[int, int, int, int]:
        """Bytes in, bytes out, messages in and messages out of all sessions."""
        before, conn = self._traffic_before, self.conn
        return (
            before[0] + self._numBytesRecv,
            before[1] + conn.numBytesSent,
            before[2] + self._numMsgRecv,
            before[3] + conn.numMsgSent,
        )

    def count_bytes(self, count: int) -> None:
        """Count bytes that have arrived."""
        self._numBytesRecv += count

    def count_messages(self, count: int) -> None:
        """Count messages that were read."""
        self._numMsgRecv += count

    def packet_arrived(self) -> None:
        """Tell the wrapper that messages are about to be read."""
        self.wrapper.tcpDataArrived()

    def packet_processed(self) -> None:
        """Tell the wrapper that messages were read. It emits the tickers that have changed."""
        self.wrapper.tcpDataProcessed()

    @property
    def logs_messages(self) -> bool:
        """Whether every message is logged."""
        return self._logger.isEnabledFor(logging.DEBUG)

    def log_received(self, fields: list[str]) -> None:
        """Log a message as the library does."""
        self._logger.debug("<<< %s", ",".join(fields))

    # Request ids.

    @override
    def getReqId(self) -> int:
        """The next id, also known before a requested session is up. Raises ``RuntimeError`` if no id is left."""
        self.hooks.check_thread()
        if self._reqIdSeq > _LAST_ID:
            raise RuntimeError("no order id is left: reset the API order ID sequence in the gateway's API settings")
        if self.isReady() or not self.hooks.is_wanted:
            return int(super().getReqId())
        taken = max(1, self._reqIdSeq)  # the library uses 0 for "none"
        self._reqIdSeq = taken + 1
        return taken

    @property
    def next_req_id(self) -> int:
        """The id that the next request will get."""
        return self._reqIdSeq

    @override
    def updateReqId(self, minReqId: int) -> None:
        """Increase the next request id to this id or more. Ignore ids of other clients' orders, and impossible ids."""
        if self._ignores_ids:
            return
        if minReqId > _LAST_ID:
            logger.warning("The gateway sent order id %s, which is impossible: it is ignored", minReqId - 1)
            return
        super().updateReqId(minReqId)

    @contextmanager
    def ignoring_ids(self) -> Iterator[None]:
        """Ignore order ids in the ``with`` block, which reads a row about another client's order."""
        self._ignores_ids = True
        try:
            yield
        finally:
            self._ignores_ids = False

    # Messages.

    @override
    def send(self, *fields: object, makeEmpty: bool = True) -> None:
        """Send these fields. The library's own method is slower: it makes a table of formatters for each message."""
        self.hooks.check_socket()
        # An order has 100 fields. One call per field would need a third of the time from placeOrder to the socket.
        texts = [
            field
            if type(field) is str
            else ("1" if field else "0")
            if type(field) is bool
            else ""
            if makeEmpty and field in _UNSET
            else str(field)
            if type(field) is int
            else self._text(field)
            for field in fields
        ]
        self.sendMsg("\0".join((*texts, "")))

    @override
    def sendMsg(self, msg: str) -> None:
        """Send a message when the rate allows it.

        The library's own throttle is not used: it has only one queue, in which orders wait behind requests.
        """
        self.hooks.check_thread()
        self.hooks.send(msg)

    def write(self, message: str) -> None:
        """Write a message that is due."""
        self.conn.sendMsg(frame(message.encode()))
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug(">>> %s", message[:-1].replace("\0", ","))

    def emit_throttle(self, has_waiting: bool) -> None:
        """Emit the library's throttle events if messages have begun or stopped waiting.

        The events are emitted in a loop callback, because a listener may change the subscriptions that are being sent.
        """
        if self._isThrottling is not has_waiting:
            self._isThrottling = has_waiting
            event = self.throttleStart if has_waiting else self.throttleEnd
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # the program has ended its loop
                event.emit()
            else:
                loop.call_soon(event.emit)

    def call_library(self, method: str, arguments: Arguments) -> None:
        """Call the library's own method, without our override."""
        getattr(super(_Base, self), method)(**arguments)

    # Orders and the current time.

    @override
    def placeOrder(self, orderId: int, contract: Contract, order: Order) -> None:
        with self.hooks.sending_orders():
            self.hooks.place_order(orderId, contract, order)

    @override
    def cancelOrder(self, orderId: int, manualCancelOrderTime: str = "") -> None:
        with self.hooks.sending_orders():
            self.hooks.cancel_order(orderId, {"orderId": orderId, "manualCancelOrderTime": manualCancelOrderTime})

    @override
    def reqGlobalCancel(self) -> None:
        with self.hooks.sending_orders():
            self.hooks.cancel_all({})

    @override
    def exerciseOptions(
        self,
        reqId: int,
        contract: Contract,
        exerciseAction: int,
        exerciseQuantity: int,
        account: str,
        override: int,
    ) -> None:
        with self.hooks.sending_orders():
            self.hooks.exercise(
                {
                    "reqId": reqId,
                    "contract": contract,
                    "exerciseAction": exerciseAction,
                    "exerciseQuantity": exerciseQuantity,
                    "account": account,
                    "override": override,
                }
            )

    @override
    def reqCurrentTime(self) -> None:
        self.hooks.current_time()

    def _text(self, field: Any) -> str:
        """A field as the libraries encode it: infinity as 'Infinite', ``None`` as an empty text."""
        if field is None:
            return ""
        if type(field) is float:
            return "Infinite" if field == math.inf else str(field)
        if isinstance(field, self._contract_class):
            return _contract_text(field)
        if type(field) is list:
            return "".join([f"{item.tag}={item.value};" for item in field])
        return str(field)


def _contract_text(contract: Contract) -> str:
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
