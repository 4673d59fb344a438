"""The way out: requests by name, ids, and how messages are written. And the client's part in the handshake."""

from __future__ import annotations

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
    from ibkr.session.library.streams import StreamRequests as _Base
    from ibkr.session.library.wrapper import WrapperOverrides
else:
    from ibkr.session.library.streams import StreamRequests as _Base
    from ibkr.session.library.unbound import override

logger = logging.getLogger("ibkr.session")

_LAST_ID = 2**31 - 2
"""IB's ids are signed 32-bit integers, and the largest one means "no id"."""
_UNSET_INTEGER = 2**31 - 1
_UNSET_DOUBLE = 1.7976931348623157e308


class ClientOverrides(_Base):
    """One sequence of ids and one count of the traffic over all sessions; every request goes through the hooks."""

    conn: ConnectionOverrides
    decoder: DecoderOverrides
    wrapper: WrapperOverrides
    hooks: Hooks
    _contract_class: type[Contract]
    _traffic_before: tuple[int, int, int, int]
    _ignores_ids: bool

    def adopt(self, hooks: Hooks, contract_class: type[Contract]) -> None:
        """Set what the constructor of the library's class does not."""
        self.hooks = hooks
        self._contract_class = contract_class
        self._traffic_before = (0, 0, 0, 0)
        self._ignores_ids = False

    # A session begins and ends.

    @override
    async def connectAsync(
        self,
        host: str,
        port: int,
        clientId: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's name
    ) -> None:
        """Connect, and say hello. The reader does the rest when the answers arrive."""
        self.host, self.port, self.clientId = host, int(port), int(clientId)
        self.connState = self.CONNECTING
        await self.conn.connectAsync(host, port)
        # Not sooner: an answer that arrived before the event loop is done with connecting would end the attempt in its
        # midst, and uvloop then forgets to report the end of the socket.
        hello = ClientHello(self.MinClientVersion, self.MaxClientVersion, self.connectOptions.decode())
        self.conn.sendMsg(hello_bytes(hello))

    @property
    def has_version(self) -> bool:
        """Whether the gateway has said which version it speaks."""
        return bool(self._serverVersion)

    def take_version(self, fields: list[str]) -> bool:
        """Take the gateway's version, which is its first message; False if this is another message."""
        if self._serverVersion or len(fields) != 2:
            return False
        self._serverVersion = self.decoder.serverVersion = int(fields[0])
        self.connState = self.CONNECTED
        self.startApi()
        self.wrapper.connectAck()
        return True

    def take_opening(self, fields: list[str]) -> bool:
        """Take the accounts or the next id from a message; whether both are there now."""
        match fields:
            case ["9", _, next_id] if next_id.isdecimal():
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
        """Forget the session, but not which ids were used."""
        self._traffic_before = self.traffic
        self.conn.numBytesSent = self.conn.numMsgSent = 0
        upcoming = self._reqIdSeq
        super().reset()
        self._reqIdSeq = upcoming

    # What arrives is counted.

    @property
    def traffic(self) -> tuple[int, int, int, int]:
        """Bytes in, bytes out, messages in, messages out, over all sessions."""
        before, conn = self._traffic_before, self.conn
        return (
            before[0] + self._numBytesRecv,
            before[1] + conn.numBytesSent,
            before[2] + self._numMsgRecv,
            before[3] + conn.numMsgSent,
        )

    def count_bytes(self, count: int) -> None:
        """So many bytes have arrived."""
        self._numBytesRecv += count

    def count_messages(self, count: int) -> None:
        """So many messages were read."""
        self._numMsgRecv += count

    def packet_arrived(self) -> None:
        """Tell the wrapper that messages are about to be read."""
        self.wrapper.tcpDataArrived()

    def packet_processed(self) -> None:
        """Tell the wrapper that messages have been read: it emits the tickers that have changed."""
        self.wrapper.tcpDataProcessed()

    @property
    def logs_messages(self) -> bool:
        """Whether every message is logged."""
        return self._logger.isEnabledFor(logging.DEBUG)

    def log_received(self, fields: list[str]) -> None:
        """Log a message as the library does."""
        self._logger.debug("<<< %s", ",".join(fields))

    # Ids.

    @override
    def getReqId(self) -> int:
        """The next id, also while a session is on its way back. Raises ``RuntimeError`` when none is left."""
        self.hooks.check_thread()
        if self._reqIdSeq > _LAST_ID:
            raise RuntimeError("no order id is left: reset the API order ID sequence in the gateway's API settings")
        if self.isReady() or not self.hooks.is_wanted:
            return int(super().getReqId())
        taken = max(1, self._reqIdSeq)  # 0 is the library's word for none
        self._reqIdSeq = taken + 1
        return taken

    @property
    def next_req_id(self) -> int:
        """The id that the next request will get."""
        return self._reqIdSeq

    @override
    def updateReqId(self, minReqId: int) -> None:
        """Raise the sequence. Ids in rows about others' orders do not count, nor do impossible ones."""
        if self._ignores_ids:
            return
        if minReqId > _LAST_ID:
            logger.warning("The gateway sent order id %s, which is impossible: it is ignored", minReqId - 1)
            return
        super().updateReqId(minReqId)

    @contextmanager
    def ignoring_ids(self) -> Iterator[None]:
        """Ignore order ids meanwhile: the library reads a row about another client's order."""
        self._ignores_ids = True
        try:
            yield
        finally:
            self._ignores_ids = False

    # Messages.

    @override
    def send(self, *fields: object, makeEmpty: bool = True) -> None:
        """Send these fields. The library's own makes its table of formatters anew for each message."""
        self.hooks.check_socket()
        self.sendMsg("".join([self._text(field, makeEmpty) + "\0" for field in fields]))

    @override
    def sendMsg(self, msg: str) -> None:
        """Send a message when its turn comes. The library's own throttle is one queue, orders behind requests."""
        self.hooks.check_thread()
        self.hooks.send(msg)

    def write(self, message: str) -> None:
        """Write a message whose turn has come."""
        self.conn.sendMsg(frame(message.encode()))
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug(">>> %s", message[:-1].replace("\0", ","))

    def tell_throttle(self, is_holding: bool) -> None:
        """Emit the library's own events about messages that wait, if that has changed."""
        if self._isThrottling is not is_holding:
            self._isThrottling = is_holding
            (self.throttleStart if is_holding else self.throttleEnd).emit()

    def call_library(self, method: str, arguments: Arguments) -> None:
        """Call the library's own method, whatever overrides it here."""
        getattr(super(_Base, self), method)(**arguments)

    # Orders, and the time.

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

    def _text(self, field: Any, make_empty: bool) -> str:
        """One field as the libraries write it: 'Infinite', and nothing for values that are not set."""
        if isinstance(field, self._contract_class):
            return _contract_text(field)
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
