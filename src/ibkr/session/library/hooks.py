"""What the subclasses of the client library's classes tell the session, and what they ask it."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

from ibkr.core.errors import Failure
from ibkr.core.facts import Key

if TYPE_CHECKING:
    from ib_async import CommissionReport, Contract, Execution, Order, OrderState

T = TypeVar("T")

Arguments: TypeAlias = dict[str, Any]
"""The arguments of a request by name. The client library has no types for them."""


class StatusRow(NamedTuple):
    """A row about the status of an order, in the order of the arguments of the library's ``orderStatus``."""

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


class Hooks(Protocol):
    """The one way from the client library's objects to the session. The session implements it."""

    # What arrived.

    async def connect_socket(self, port: int) -> socket.socket:
        """A connected socket to the host. Raises ``OSError`` and, for a name that is none, ``UnicodeError``."""

    def accepted(self) -> None:
        """The port has taken the connection."""

    def heard(self) -> None:
        """A byte arrived. Called once after each ``MessageReader.listen``."""

    def unfit(self, failure: Failure) -> None:
        """The peer is no gateway, or none that can be talked to. Called at most once for each socket."""

    def session_opened(self) -> None:
        """The gateway has sent the accounts and the next id."""

    def slice_read(self, arrived: float) -> None:
        """Some messages were read; their bytes arrived at this time of the loop."""

    def error(self, req_id: int, code: int, text: str, advanced: str) -> None:
        """An error or a notice arrived."""

    def request_ended(self, key: Hashable, *, is_answer: bool) -> None:
        """A request that somebody waited for has ended; with its answer, or else with an error."""

    def row_unreadable(self, name: str) -> None:
        """A row of the answer to this start-up request could not be decoded."""

    def message_seen(self, key: Key, *, is_data: bool) -> None:
        """A message for this subscription arrived, of a kind that is awaited."""

    def object_updated(self, key: Key) -> None:
        """The library has written a message into the list or the PnL of this subscription."""

    def open_order(self, order_id: int, contract: Contract, order: Order, state: OrderState) -> None:
        """A row about an open order."""

    def order_status(self, row: StatusRow) -> None:
        """A row about the status of an order."""

    def completed_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        """A row about an order that has ended."""

    def execution(self, req_id: int, contract: Contract, execution: Execution) -> None:
        """A row about an execution."""

    def commission(self, report: CommissionReport) -> None:
        """A row about the commission of an execution."""

    def portfolio_complete(self, account: str) -> None:
        """All rows of an account's portfolio are there."""

    # What is about to be sent.

    def check_thread(self) -> None:
        """Raises ``RuntimeError`` in another thread than that of the event loop."""

    def check_socket(self) -> None:
        """Raises ``NotReady`` if nothing can be sent."""

    def check_order(self, order: Order | None) -> None:
        """Raises ``NotReady`` if an order like this may not be sent now; None: any new order."""

    def check_what_if(self) -> None:
        """Raises ``NotReady`` if there is no session to ask what an order would cost."""

    def send(self, message: str) -> None:
        """Send a message when its turn comes."""

    def request(self, method: str, arguments: Arguments) -> None:
        """A method of the client was called that asks for a stream, or for something in the same way."""

    def cancel(self, method: str, arguments: Arguments) -> None:
        """A method of the client was called that cancels a stream."""

    def market_data_type(self, data_type: int) -> None:
        """The program asks for live or for delayed market data."""

    def current_time(self) -> None:
        """The program asks for the gateway's time, at the client."""

    def current_time_answer(self) -> asyncio.Future[dt.datetime]:
        """The program asks for the gateway's time, and waits for it."""

    def sending_orders(self) -> AbstractContextManager[object]:
        """Around a call that sends orders or cancels: the outermost one ends when they have left."""

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
        """Whether a session is there or on its way, so that ids can be handed out."""

    # What ended, and what the program asks of the connection.

    def transport_ended(self, error: Exception | None) -> None:
        """The socket is closed; with an error if it was not closed in good order."""

    def failed(self, what: str, error: Exception) -> None:
        """Our own code has made a mistake while doing this: the session ends."""

    def disconnect(self) -> bool:
        """The program calls ``ib.disconnect()``."""

    def run_blocking(self, work: Callable[[], Awaitable[T]], timeout: float | None) -> T:
        """The program makes a blocking call: run this in the connector's event loop."""

    def run_until_over(self) -> None:
        """The program calls ``ib.run()``."""
