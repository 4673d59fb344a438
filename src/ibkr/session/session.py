"""One API session after the other, on one ``IB`` object: carries out the machine's effects, and posts events.

The ``IB`` object lives as long as the connector. Over 300 lines, because everything that arrives and everything that is
sent passes here on its one way: the client library's objects call the ``Hooks``, the driver calls the effects.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from ibkr.core.codes import is_about_farm, is_about_link, is_read_only, is_warning, reaction
from ibkr.core.errors import Failure
from ibkr.core.facts import (
    CodeReceived,
    Fact,
    FarmsTold,
    Heard,
    Key,
    OrdersUnconfirmed,
    RowsUnreadable,
    SessionOpened,
    StartupAnswered,
    StartupAsked,
    StreamsWatched,
    SubscriptionsMoved,
)
from ibkr.core.gap import GapReport
from ibkr.core.orders import SentOrder, SentOrders
from ibkr.core.policy import Policy
from ibkr.core.settings import Connection
from ibkr.core.startup import ACCOUNT_UPDATES
from ibkr.core.state import Feed
from ibkr.core.stats import Stats
from ibkr.core.status import Status
from ibkr.session.account_state import AccountState
from ibkr.session.current_time import KEY, CurrentTime
from ibkr.session.errors import shielded
from ibkr.session.library import Arguments, StatusRow, adopt
from ibkr.session.orders.gap_tracker import GapTracker
from ibkr.session.orders.order_sender import OrderSender
from ibkr.session.sender import Limiter, Sender
from ibkr.session.socket import Socket
from ibkr.session.startup import StartUp
from ibkr.session.subscriptions import SubscriptionManager

if TYPE_CHECKING:
    from ib_async import IB, CommissionReport, Contract, Execution, Order, OrderState

T = TypeVar("T")


class Owner(Protocol):
    """The connector around a session, as far as the session needs it."""

    def post(self, fact: Fact) -> None:
        """Take an event."""

    def failed(self, what: str, error: Exception) -> None:
        """Our own code has made a mistake while doing this: end the session, and say so."""

    def gap_found(self, report: GapReport) -> None:
        """Take a gap report, in a turn of the loop of its own."""

    @property
    def latest(self) -> Status:
        """The status."""

    def orders_sent(self) -> None:
        """Orders or cancels were sent, or wait for their turn. In a plain script, returns when they have left."""

    def refuse_elsewhere(self) -> None:
        """Raises ``RuntimeError`` in another thread than that of the event loop."""

    def run_blocking(self, work: Callable[[], Awaitable[T]], timeout: float | None) -> T:
        """Run a blocking call of the client library in the event loop."""

    def run_until_over(self) -> None:
        """Block until no connection is wanted any more."""

    def disconnect(self) -> bool:
        """End the connection."""


class Session:
    """Implements ``library.Hooks``, and what the driver needs to carry out effects."""

    def __init__(self, ib: IB, settings: Connection, policy: Policy, limiter: Limiter, owner: Owner) -> None:
        self._policy, self._owner = policy, owner
        self._account, self._readonly = settings.account, settings.readonly
        self._attempt = 0
        self._startup: StartUp | None = None
        self._announcing: asyncio.Handle | None = None
        self._notices: list[tuple[int, str]] = []
        self._answers: list[str] = []
        self._answers_read_only = False

        self._library = library = adopt(ib, self)
        self._ib, self._client, self._wrapper = library.ib, library.client, library.wrapper
        self.sender = Sender(library.client, limiter)
        self.subscriptions = SubscriptionManager(library, self.sender, policy, self._tell_subscriptions)
        self.account_state = AccountState(library.wrapper)
        self._time = CurrentTime(library, self.sender, policy.probe_apart)
        self._sent_orders = SentOrders()
        self.gaps = GapTracker(
            library,
            self.subscriptions,
            self._sent_orders,
            policy,
            ask_again=lambda names: self.ask_again(names, shared=True),
            hides_others=lambda: self._startup is not None and self._startup.awaits_others,
            knows_others=lambda: self._startup is not None and self._startup.knows_others,
            on_unconfirmed=self._tell_unconfirmed,
            on_gap=owner.gap_found,
        )
        self._orders = OrderSender(
            library, self.sender, self._sent_orders, self.gaps.errors, owner, self._tell_unconfirmed
        )
        self._socket = Socket(
            library,
            settings.host,
            settings.client_id,
            policy,
            owner,
            on_open=self._session_begins,
            end_session=self._end_session,
        )

    # What the driver reads.

    @property
    def last_byte(self) -> float:
        """When the socket last brought a byte, in the loop's time."""
        return self._library.reader.last_byte

    @property
    def has_socket(self) -> bool:
        """Whether the newest attempt has one: the port has taken the connection."""
        return self._socket.is_there

    @property
    def lost_transport(self) -> str:
        """Why the connection is ending, before the loop reports its end; empty while messages can be sent."""
        return self._socket.lost_transport

    @property
    def has_ended(self) -> bool:
        """Whether the newest attempt is over and its socket gone."""
        return self._socket.has_ended

    def stats(self) -> Stats:
        """What a session counts and measures; the connector adds what others do."""
        bytes_in, bytes_out, messages_in, messages_out = self._client.traffic
        return Stats(
            as_of=dt.datetime.now(dt.UTC),
            subscriptions=self.subscriptions.ledger.standings,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            messages_in=messages_in,
            messages_out=messages_out,
            probes=self._time.answers,
            round_trips=tuple(self._time.round_trips),
        )

    # Effects: a socket begins and ends.

    def open(self, attempt: int, port: int, *, from_lost_address: bool) -> None:
        """Begin an attempt. Ends in exactly one ``SocketEnded``."""
        self._attempt = attempt
        self._startup = None
        self._forget_held_back()
        self.subscriptions.begin()
        self.gaps.trades.begin()
        self.account_state.begin()
        self._time.begin()
        self.sender.begin()
        self._socket.open(attempt, port, from_lost_address=from_lost_address)

    def close(self) -> None:
        """End the socket in good order: what was written is sent first, and orders that wait for their turn."""
        self.sender.hurry()
        self._socket.close()

    def abort(self) -> None:
        """End the socket now."""
        self._socket.abort()

    def discard_unsent(self, discard: bool) -> None:
        """Whether what has not reached the gateway when the socket ends is discarded, or still delivered."""
        self._library.conn.discard_unsent(discard)

    def release(self) -> None:
        """End the streams that the caller holds: nothing will be restored any more."""
        self._wrapper.setEventsDone()
        self.subscriptions.release()
        self.gaps.trades.release()
        self.account_state.release()

    def shut_down(self) -> None:
        """Have the system end the socket: the loop cannot."""
        self._library.conn.shut_down()

    def detach(self) -> None:
        """Let go of the socket, which belongs to another process."""
        self._library.conn.detach()

    def abandon(self) -> None:
        """The loop is gone, and the socket with it: forget both, so that another loop can begin anew."""
        self._stop_sending()
        self.gaps.abandon()
        self._socket.forget()
        self._wrapper.forget_all()
        self.release()

    def _session_begins(self) -> None:
        """The gateway has sent accounts and next id."""
        self.sender.opened()
        self.subscriptions.session_opened()
        self._startup = startup = StartUp(
            self._library,
            self._account,
            readonly=self._readonly,
            on_answer=self._answered,
            on_unreadable=self._answer_unreadable,
        )
        startup.with_others = self.gaps.has_gap
        version, accounts = self._client.serverVersion(), tuple(self._client.getAccounts())
        self._post(SessionOpened(self._attempt, version, accounts, startup.names, self.subscriptions.has_to_restore))

    def _end_session(self, is_our_will: bool) -> None:
        """Nothing can be sent any more: forget the session, but not what the program holds."""
        # 1. What waits to be sent is dropped.
        self._stop_sending()
        was_ready = self._client.isReady()
        # 2. By our own will: the library's listeners hear of it while its maps are still full, as from its own call.
        if is_our_will:
            self._client.reset()
            if was_ready:
                shielded(self._ib.disconnectedEvent.emit)
        # 3. What the program holds is taken out of the library's maps; the library empties them; it is put back.
        if was_ready:
            if self._startup is not None:
                self._startup.abandon()
            self.gaps.before_reset(self._library.reader.silence)
            self.subscriptions.before_reset()
            self.account_state.before_reset()
            self._wrapper.reset()
            self.subscriptions.after_reset()
            self.gaps.trades.after_reset()
            self.account_state.after_reset()
        # 4. The client is made ready for the next socket.
        if not is_our_will:
            self._client.reset()

    def _stop_sending(self) -> None:
        self._time.end()
        self.sender.end()

    # Effects: start-up, compare, restore.

    def start_up(self) -> None:
        """Send the start-up requests."""
        startup = self._startup
        assert startup is not None, "there is a session"
        if self._has_no_session():
            return
        self.gaps.trades.start_up()
        if startup.was_asked:
            startup.with_others = self.gaps.has_gap
            self._post(StartupAsked(self._attempt, startup.names))
        self.account_state.start_up(startup.names)
        with self._library.conn.one_write(), self.subscriptions.requests.start_up():
            startup.ask()

    def ask_again(self, names: tuple[str, ...], *, shared: bool) -> None:
        """Send these start-up requests once more."""
        startup = self._startup
        if startup is not None and not self._has_no_session():
            known = tuple(name for name in names if name in startup.names)
            self.account_state.asked(known)
            with self.subscriptions.requests.start_up():
                startup.ask_again(known, shared=shared)

    def compare(self, cause: str, unknown: tuple[str, ...], outage: int) -> None:
        """Bring the trades up to date, and compare with what was known before the outage."""
        self.gaps.compare(cause, unknown, outage)

    def report_gap(self) -> None:
        """Tell what changed in the outage that is over. After the first start-up, see what others have, for later."""
        self.gaps.report()
        if self._startup is not None:
            # When the burst is free again, for what the program asks for now goes first.
            self._startup.ask_others_later(self._policy.send_burst / self._policy.send_rate)

    def announce(self) -> None:
        """Tell the library's listeners that the session is up, as its own connect does.

        In a callback of the loop: a handler may block there, in a loop that is patched to nest.
        """
        if len(self._ib.connectedEvent):
            loop = asyncio.get_running_loop()
            self._announcing = loop.call_soon(self._tell_connected, self._attempt)

    def _tell_connected(self, attempt: int) -> None:
        self._announcing = None
        if attempt == self._attempt and not self._has_no_session():
            with self.subscriptions.requests.announcement():
                shielded(self._ib.connectedEvent.emit)

    def restore(self, *, same_session: bool) -> None:
        """Ask for every subscription again, after the announcement: its handlers may ask for the same."""
        if self._announcing is None:
            self._restore(self._attempt, same_session)
        else:
            asyncio.get_running_loop().call_soon(self._restore_later, self._attempt, same_session)

    def _restore_later(self, attempt: int, same_session: bool) -> None:
        try:
            self._restore(attempt, same_session)
        except Exception as error:  # the driver, which handles what effects raise, is not around this call
            self.failed("restoring subscriptions", error)

    def _restore(self, attempt: int, same_session: bool) -> None:
        if attempt != self._attempt or self._has_no_session():
            return
        with self._library.conn.one_write():
            self.subscriptions.restore(same_session=same_session)
        self._tell_subscriptions()

    def probe(self) -> None:
        """Ask for the gateway's time. Any byte answers."""
        self._library.reader.listen()
        self._time.probe()

    def watch(self, feed: Feed | None, since: float, farm: str) -> None:
        """Tell which streams ticked before the trouble."""
        self._post(StreamsWatched(self._attempt, farm, self.subscriptions.used_to_tick(feed, since)))

    def ask_streams(self, req_ids: tuple[Key, ...], unless_since: float | None) -> None:
        """Ask for single streams again on the live socket."""
        if self._has_no_session():
            return
        with self._library.conn.one_write():
            self.subscriptions.ask_again(req_ids, unless_since)
        self._tell_subscriptions()

    def slow_down(self) -> None:
        """Send fewer messages a second in this session."""
        self.sender.slow_down()

    def _has_no_session(self) -> bool:
        """Not any more: the socket is closed, but its event is still queued behind the effect that comes here."""
        return not self._client.isReady()

    # What the connector asks.

    def age(self, obj: object, now: float) -> float | None:
        """Seconds since the last message about this object in this session; None before one."""
        return self.subscriptions.age(obj, now)

    def refuse_orders(self, why: str) -> None:
        """Orders that wait for their turn are not sent any more; cancels are."""
        self.sender.refuse_orders(why)

    def current_time_answer(self) -> asyncio.Future[dt.datetime]:
        """The gateway's time, once it has answered."""
        return self._time.request()

    # Hooks: what arrived.

    def accepted(self) -> None:
        self._socket.accepted()

    def heard(self) -> None:
        self._post(Heard(self._attempt))

    def unfit(self, failure: Failure) -> None:
        self._socket.unfit(failure)

    def session_opened(self) -> None:
        self._socket.opened()

    def slice_read(self, arrived: float) -> None:
        self.subscriptions.note_ticks(arrived)
        self._tell_held_back()

    def error(self, req_id: int, code: int, text: str, advanced: str) -> None:
        """Ours first: what the library does with some of these is what we must prevent."""
        if is_about_farm(code):
            self._notices.append((code, text))
            if not self._library.reader.is_reading:
                self._tell_held_back()
            self._tell_library(req_id, code, text, advanced)
            return
        self._tell_held_back()
        startup = self._startup
        if startup is not None and not is_warning(code):
            startup.failed(req_id)
        self.gaps.code_received(reaction(code))
        if is_about_link(code):
            self._post(CodeReceived(self._attempt, code, text))
            # The library logs each of these as ERROR, again and again and the good news too; the status says it better.
            if not self.gaps.errors.received(req_id, code, text, advanced):
                self._ib.errorEvent.emit(req_id, code, text, None)
        else:
            tell = partial(self._tell_library, req_id, code, text, advanced)
            self.subscriptions.error_received(req_id, code, text, tell)
        if startup is not None and is_read_only(code, text):
            startup.read_only()

    def _tell_library(self, req_id: int, code: int, text: str, advanced: str) -> None:
        """The library takes only errors that name no order: it would end the orders."""
        if not self.gaps.errors.received(req_id, code, text, advanced):
            self._wrapper.read_error(req_id, code, text, advanced)

    def request_ended(self, key: Hashable, *, is_answer: bool) -> None:
        if key == KEY:
            self._time.answered()
        if self._startup is not None and is_answer:
            self._startup.ended(key)

    def row_unreadable(self, name: str) -> None:
        if name == ACCOUNT_UPDATES:
            self.account_state.portfolio_unreadable()
        if self._startup is not None:
            self._startup.row_unreadable(name)

    def message_seen(self, key: Key, *, is_data: bool) -> None:
        self.subscriptions.message_seen(key, is_data=is_data)

    def object_updated(self, key: Key) -> None:
        self.subscriptions.object_updated(key)

    def open_order(self, order_id: int, contract: Contract, order: Order, state: OrderState) -> None:
        self.gaps.trades.open_order(order_id, contract, order, state)

    def order_status(self, row: StatusRow) -> None:
        self.gaps.trades.order_status(row)

    def completed_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        self.gaps.trades.completed_order(contract, order, state)

    def execution(self, req_id: int, contract: Contract, execution: Execution) -> None:
        self.gaps.trades.execution(req_id, contract, execution)

    def commission(self, report: CommissionReport) -> None:
        self.gaps.trades.commission(report)

    def portfolio_complete(self, account: str) -> None:
        self.account_state.portfolio_complete(account)

    # Hooks: what is about to be sent.

    def check_thread(self) -> None:
        self._owner.refuse_elsewhere()

    def check_socket(self) -> None:
        self._orders.check_socket()

    def check_order(self, order: Order | None) -> None:
        self._orders.check(order)

    def check_what_if(self) -> None:
        self._orders.check_session("what-if order")

    def send(self, message: str) -> None:
        self.sender.send_plain(message)

    def request(self, method: str, arguments: Arguments) -> None:
        self.subscriptions.requests.request(method, arguments)

    def cancel(self, method: str, arguments: Arguments) -> None:
        self.subscriptions.requests.cancel_request(method, arguments)

    def market_data_type(self, data_type: int) -> None:
        self.subscriptions.requests.data_type_asked(data_type)

    def current_time(self) -> None:
        self._time.request_alone()

    def sending_orders(self) -> AbstractContextManager[object]:
        return self._orders

    def place_order(self, order_id: int, contract: Contract, order: Order) -> None:
        self._orders.place(order_id, contract, order)

    def cancel_order(self, order_id: int, arguments: Arguments) -> None:
        self._orders.cancel(order_id, arguments)

    def cancel_all(self, arguments: Arguments) -> None:
        self._orders.cancel_all(arguments)

    def exercise(self, arguments: Arguments) -> None:
        self._orders.exercise(arguments)

    @property
    def is_wanted(self) -> bool:
        return self.subscriptions.is_wanted

    # Hooks: what ended, and what the program asks of the connection.

    async def connect_socket(self, port: int) -> socket.socket:
        return await self._socket.connect(port)

    def transport_ended(self, error: Exception | None) -> None:
        try:
            self._socket.transport_ended(error)
        except Exception as mistake:
            self.failed("ending a session", mistake)

    def failed(self, what: str, error: Exception) -> None:
        self._owner.failed(what, error)

    def disconnect(self) -> bool:
        return self._owner.disconnect()

    def run_blocking(self, work: Callable[[], Awaitable[T]], timeout: float | None) -> T:
        return self._owner.run_blocking(work, timeout)

    def run_until_over(self) -> None:
        self._owner.run_until_over()

    # Events. Notices and answers of one slice of messages are posted together, and nothing overtakes them: each event
    # costs a step of the machine, and a session's first messages say much.

    def _post(self, fact: Fact) -> None:
        self._owner.post(fact)

    def _answered(self, name: str, read_only: bool) -> None:
        """Posted with others of its slice; but at once when orders are known, for what comes behind is news."""
        startup = self._startup
        self.account_state.answered(name)
        self.gaps.answered(name)
        self._answers.append(name)
        self._answers_read_only |= read_only
        if startup is None or not startup.awaits_orders or not self._library.reader.is_reading:
            self._tell_held_back()

    def _answer_unreadable(self, name: str) -> None:
        self._tell_held_back()
        self._post(RowsUnreadable(self._attempt, (name,)))
        self.gaps.row_unreadable(name)

    def _tell_subscriptions(self) -> None:
        self._tell_held_back()
        ledger = self.subscriptions.ledger
        self._post(
            SubscriptionsMoved(
                self._attempt, ledger.pending, ledger.refused, ledger.ended, ledger.withheld, ledger.held_back
            )
        )

    def _tell_unconfirmed(self, orders: tuple[SentOrder, ...]) -> None:
        self._post(OrdersUnconfirmed(orders))

    def _tell_held_back(self) -> None:
        if self._notices:
            notices, self._notices = tuple(self._notices), []
            self._post(FarmsTold(self._attempt, notices))
        if self._answers:
            names, self._answers = tuple(self._answers), []
            self._post(StartupAnswered(self._attempt, names, self._answers_read_only))

    def _forget_held_back(self) -> None:
        self._notices, self._answers, self._answers_read_only = [], [], False
