"""The faults of the proxy: the faults of the simulated gateway that can be applied to a real connection.

The faults act only on what a client receives. What the client sends always reaches the gateway unchanged.
"""

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any

from ibkr.core.codes import find
from ibkr.proxy.delivery import ActiveFaults, Delivery
from ibkr.proxy.message_catalog import REQUESTS
from ibkr.proxy.proxied_connection import ProxiedConnection
from ibkr.simulator.connection.send_queue import IMMEDIATE
from ibkr.simulator.faults.conditions import ANY, MessageFault, MessageFaultKind
from ibkr.simulator.faults.fault_registry import (
    MAX_INT,
    Fault,
    FaultError,
    Seconds,
    Times,
    fault,
    find_fault,
    number_from,
    one_of,
)
from ibkr.simulator.faults.message_faults import Message
from ibkr.wire import messages

log = logging.getLogger("ibkr.proxy")

PROXY_FAULTS: dict[str, Fault] = {}
"""Every fault of the proxy by its name."""


class ProxyFaults:
    """The faults as methods; `PROXY_FAULTS` has them by name. Call them in the proxy's event loop.

    A fault is active for all present and future connections until `clear`. Each method raises `FaultError` for invalid
    arguments, and for a live account unless `allows_live` is set. The id of a live account does not begin with D.
    """

    def __init__(self, *, allows_live: bool = False) -> None:
        self.allows_live = allows_live
        self.active = ActiveFaults()
        self.is_live = False
        self.carried_out: list[str] = []
        self._deliveries: dict[ProxiedConnection, Delivery] = {}

    def call(self, name: str, /, *args: object, **named: object) -> None:
        """Apply the fault of this name or alias. Raises `FaultError` in the cases above."""
        find_fault(name, PROXY_FAULTS).method(self, *args, **named)

    def recorded(self, name: str) -> None:
        """Called after each fault that was applied."""
        log.info("fault: %s", name)
        self.carried_out.append(name)

    # --- delivery to the clients ------------------------------------------------------------------

    def connection_opened(self, connection: ProxiedConnection) -> bool:
        self._deliveries[connection] = delivery = Delivery(connection, self.active)
        if self.active.is_frozen:
            delivery.freeze()
        return not self.active.is_frozen

    def forward(self, connection: ProxiedConnection, data: bytes, bodies: list[bytes]) -> None:
        self._deliveries[connection].forward(data, bodies)

    def handle_requests(self, connection: ProxiedConnection, bodies: list[bytes]) -> None:
        """Take requests on their way to the gateway."""
        self._deliveries[connection].handle_requests(bodies)

    def gateway_eof(self, connection: ProxiedConnection) -> None:
        self._deliveries[connection].gateway_eof()

    def connection_closed(self, connection: ProxiedConnection) -> None:
        if delivery := self._deliveries.pop(connection, None):
            delivery.discard()

    def check_accounts(self, accounts: Iterable[str]) -> None:
        """Check the accounts of a session: a live account ends all faults, unless `allows_live` is set.

        An empty list means nothing, because the gateway has not logged in yet.
        """
        known = [account for account in accounts if account]
        live = [account for account in known if not account.startswith("D")]
        self.is_live = bool(live) if known else self.is_live
        if live and self.active.has_any and not self.allows_live:
            log.error("a live account: all faults are ended. Rehearse on a paper account, or allow it with --live")
            self._end_all()

    def _allowed(self) -> list[Delivery]:
        if self.is_live and not self.allows_live:
            raise FaultError(
                "refused: the account is live. Rehearse on a paper account (its id begins with D); --live allows it"
            )
        return list(self._deliveries.values())

    def _set_message_fault(self, message: str, kind: MessageFaultKind, times: float, **more: Any) -> None:
        self._allowed()
        self.active.message_faults[message] = MessageFault(kind, times, **more)

    def _change_flow(self, **changes: Any) -> None:
        self._allowed()
        changed = replace(self.active.flow, **changes)
        self.active.flow = IMMEDIATE if changed == IMMEDIATE else changed

    def _end_all(self) -> None:
        self.active.clear()
        for delivery in list(self._deliveries.values()):
            delivery.end_faults()
            delivery.connection.connect()

    # --- the faults -------------------------------------------------------------------------------

    @fault(registry=PROXY_FAULTS)
    def reset(self) -> None:
        """Reset every client's connection (RST), as a firewall or a crashed host does."""
        for delivery in self._allowed():
            delivery.connection.set_close_reason("reset by a fault")
            delivery.cut(is_reset=True)

    @fault(registry=PROXY_FAULTS)
    def close(self) -> None:
        """Close every client's connection cleanly (FIN)."""
        for delivery in self._allowed():
            delivery.connection.set_close_reason("closed by a fault")
            if self.active.is_frozen:  # a frozen connection cannot send the waiting bytes before it closes
                delivery.cut(is_reset=False)
            else:
                delivery.close_client()

    @fault(registry=PROXY_FAULTS)
    def freeze(self) -> None:
        """Stop reading from and writing to clients, old and new: they are half-open."""
        for delivery in self._allowed():
            delivery.freeze()
        self.active.is_frozen = True

    @fault(registry=PROXY_FAULTS)
    def thaw(self) -> None:
        """End a freeze. What has arrived during it is passed on now."""
        self.active.is_frozen = False
        for delivery in list(self._deliveries.values()):
            delivery.thaw()
            delivery.connection.connect()

    @fault(registry=PROXY_FAULTS)
    def slow(self, bytes_per_second: Annotated[int, number_from(0, "bytes", MAX_INT)]) -> None:
        """Send this many bytes a second to each client. 0 ends it."""
        self._change_flow(rate=bytes_per_second or math.inf)

    @fault(registry=PROXY_FAULTS)
    def split_frames(self) -> None:
        """Send every byte separately, so that no message arrives in one piece."""
        self._change_flow(is_split=True)

    @fault(registry=PROXY_FAULTS)
    def merge_frames(self, seconds: Annotated[float, number_from(0.001, "seconds")] = 0.1) -> None:
        """Collect what comes within this many seconds, and send it in one piece."""
        self._change_flow(every=seconds)

    @fault(registry=PROXY_FAULTS)
    def delay(self, seconds: Seconds) -> None:
        """Send everything this many seconds later. 0 ends it."""
        self._change_flow(delay=seconds)

    @fault(registry=PROXY_FAULTS)
    def delay_message(self, message: Message, seconds: Seconds, times: Times = math.inf) -> None:
        """Send messages of this name (orderStatus, any) this many seconds late, after later messages."""
        self._set_message_fault(message, MessageFaultKind.DELAY, times, seconds=seconds)

    @fault(registry=PROXY_FAULTS)
    def drop_message(self, message: Message, times: Times = math.inf) -> None:
        """Do not send messages of this name (execDetails, any), this many times."""
        self._set_message_fault(message, MessageFaultKind.DROP, times)

    @fault(registry=PROXY_FAULTS)
    def duplicate_message(self, message: Message, times: Times = math.inf) -> None:
        """Send messages of this name (execDetails, any) twice, this many times."""
        self._set_message_fault(message, MessageFaultKind.DUPLICATE, times)

    @fault(registry=PROXY_FAULTS)
    def truncate_message(self, message: Message = ANY, times: Times = 1) -> None:
        """Send half of the next message (of this name), then close the connection."""
        self._set_message_fault(message, MessageFaultKind.TRUNCATE, times)

    @fault(registry=PROXY_FAULTS)
    def mute(self, request: Annotated[str, one_of(REQUESTS, "request")]) -> None:
        """Drop the answers to requests of this name, such as reqPositions. The gateway still answers them."""
        self._allowed()
        self.active.muted.add(request)

    @fault(registry=PROXY_FAULTS)
    def error(
        self,
        code: Annotated[int, number_from(0, "codes", MAX_INT)],
        req_id: Annotated[int, number_from(-1, "request ids", MAX_INT)] = -1,
        text: str = "",
    ) -> None:
        """Send an error to every session, as if it came from the gateway: 1100, or 201 with the id of an order."""
        known = find(code)
        text = text or (known.meaning if known else "An error injected by the proxy")
        for delivery in self._allowed():
            if version := delivery.connection.parser.server_version:
                body = messages.ERROR.encode(
                    version,
                    req_id=req_id,
                    code=code,
                    text=text,
                    advanced_order_reject="",
                    error_time=int(time.time() * 1000),
                )
                delivery.inject(body)

    @fault(registry=PROXY_FAULTS)
    def clear(self) -> None:
        """End all faults, without a message. Sessions continue."""
        self._end_all()
