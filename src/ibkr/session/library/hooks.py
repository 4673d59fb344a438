"""The protocols through which the library's subclasses call the session."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

from ibkr.core.errors import Failure
from ibkr.core.events import Key

if TYPE_CHECKING:
    from ib_async import CommissionReport, Contract, Execution, Order, OrderState

T = TypeVar("T")

Answer: TypeAlias = asyncio.Future[Any]
"""The future of a pending request."""
Arguments: TypeAlias = dict[str, Any]
"""The arguments of a request by name. The client library has no types for them."""


class StatusRow(NamedTuple):
    """A row about an order's status, with the arguments of the library's ``orderStatus`` in their order."""

    order_id: int
    status: str
    filled: float
    remaining: float
    average_price: float
    perm_id: int
    parent_id: int
    last_price: float
    client_id: int
    why_held: str
    cap_price: float


class Recording(Protocol):
    """Records the bytes of one connection in both directions."""

    def client_sent(self, data: bytes) -> None:
        """Bytes go to the gateway."""

    def gateway_sent(self, data: bytes) -> None:
        """Bytes have come from the gateway."""

    def close(self, why: str) -> None:
        """The connection has ended."""

    def flush(self) -> None:
        """Write everything recorded so far."""


class IncomingHooks(Protocol):
    """What the client library's objects report to the session: everything that arrives."""

    def accepted(self) -> None:
        """The port has accepted the connection."""

    def peer_rejected(self, failure: Failure) -> None:
        """The peer is not a usable gateway. Called at most once for each socket."""

    def session_opened(self) -> None:
        """The gateway has sent the accounts and the next id."""

    def slice_read(self, arrived_at: float) -> None:
        """Messages were read whose bytes arrived at this time of the loop."""

    def error(self, req_id: int, code: int, text: str, advanced: str) -> None:
        """An error or a notice has arrived."""

    def request_begun(self, key: Hashable, future: Answer) -> None:
        """The library has begun a request that a caller awaits. Its message follows."""

    def is_late_answer(self, key: Hashable) -> bool:
        """Whether this answer belongs to an earlier request with this key, and a later request is pending."""

    def take_timeout(self, key: Hashable) -> TimeoutError | None:
        """The error of a request that was not answered in time, if the library does not raise it."""

    def request_ended(self, key: Hashable, *, is_answer: bool) -> None:
        """A request that a caller awaited has ended, with its answer or with an error."""

    def limit_reached(self, words: str) -> None:
        """The gateway has sent more of something than is kept. ``words`` names the thing."""

    def row_unreadable(self, name: str) -> None:
        """A row of the answer to this start-up request could not be decoded."""

    def message_seen(self, key: Key, *, is_data: bool) -> None:
        """An awaited message for this subscription has arrived."""

    def object_updated(self, key: Key) -> None:
        """The library has written a message into the list or the PnL of this subscription."""

    def open_order(self, order_id: int, contract: Contract, order: Order, state: OrderState) -> None:
        """A row about an open order."""

    def order_status(self, row: StatusRow) -> None:
        """A row about an order's status."""

    def completed_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        """A row about a completed order."""

    def execution(self, req_id: int, contract: Contract, execution: Execution) -> None:
        """A row about an execution."""

    def commission(self, report: CommissionReport) -> None:
        """A row about the commission of an execution."""

    def portfolio_complete(self, account: str) -> None:
        """All portfolio rows of an account have arrived."""


class Hooks(Protocol):
    """What the library's objects call in the session: requests before they are sent, and the end of the socket."""

    @property
    def incoming(self) -> IncomingHooks:
        """Receives what arrives."""

    def recording(self) -> Recording | None:
        """Where to record the bytes of a new connection, or ``None``."""

    async def connect_socket(self, port: int) -> socket.socket:
        """Connect a socket to the host. Raises ``OSError``, and ``UnicodeError`` for an invalid host name."""

    # Requests that are about to be sent.

    def check_thread(self) -> None:
        """Raise ``RuntimeError`` if this is not the event loop's thread."""

    def check_socket(self) -> None:
        """Raise ``NotReady`` if nothing can be sent."""

    def check_order(self, order: Order | None) -> None:
        """Raise ``NotReady`` if this order may not be sent now, ``ValueError`` if it has ended.

        ``None`` means any new order.
        """

    def check_what_if(self) -> None:
        """Raise ``NotReady`` if there is no session for a what-if order."""

    def send(self, message: str) -> None:
        """Send a message when the rate allows it."""

    def request(self, method: str, arguments: Arguments) -> None:
        """Handle the call of a client method that requests a stream, or something that is requested in the same way."""

    def cancel(self, method: str, arguments: Arguments) -> None:
        """Handle the call of a client method that cancels a stream."""

    def may_repeat(self, key: Key) -> bool:
        """Whether the program requested the stream with this id before this session, and has not requested it again.

        The caller requests it again now.
        """

    def market_data_type(self, data_type: int) -> None:
        """The program sets the type of market data, live or delayed."""

    def current_time(self) -> None:
        """The program requests the gateway's time with the client."""

    def current_time_answer(self) -> asyncio.Future[dt.datetime]:
        """The program requests the gateway's time, and awaits it."""

    def sending_orders(self) -> AbstractContextManager[object]:
        """Enclose a call that sends orders or cancels. The outermost call ends when they are sent."""

    def place_order(self, order_id: int, contract: Contract, order: Order) -> None:
        """Send a new or a changed order."""

    def cancel_order(self, order_id: int, arguments: Arguments) -> None:
        """Send a cancel."""

    def cancel_all(self, arguments: Arguments) -> None:
        """Send a global cancel."""

    def exercise(self, arguments: Arguments) -> None:
        """Send the exercise of an option."""

    @property
    def is_wanted(self) -> bool:
        """Whether a connection is requested, so that ids can be used."""

    # The end of the socket, and the program's control of the connection.

    def transport_ended(self, error: Exception | None) -> None:
        """The socket is closed, with an error if it was not closed properly."""

    def failed(self, what: str, error: Exception) -> None:
        """An error in our own code occurred while doing ``what``: end the session."""

    def disconnect(self) -> bool:
        """The program calls ``ib.disconnect()``."""

    def run_blocking(self, work: Callable[[], Awaitable[T]], timeout: float | None) -> T:
        """The program makes a blocking call: run it in the connector's event loop."""

    def run_until_over(self) -> None:
        """The program calls ``ib.run()``."""
