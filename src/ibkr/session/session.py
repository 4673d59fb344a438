"""Runs API sessions one after another on one ``IB`` object: carries out the state machine's effects, posts events.

The ``IB`` object lives as long as the connector. Incoming messages go to ``MessageHandler``.
This file has over 300 lines because all effects and all requests of the client library's objects come here.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ibkr.core.connection_settings import ConnectionSettings
from ibkr.core.errors import ConfigError, Failure, FailureKind
from ibkr.core.events import (
    ActiveStreamsFound,
    AttemptFailed,
    GlobalCancelDelivered,
    Key,
    SessionOpened,
    StartupRequested,
)
from ibkr.core.order_records import SentOrder
from ibkr.core.policy import Policy
from ibkr.core.states import Feed
from ibkr.core.stats import Stats
from ibkr.core.stream_failures import EVERY_FARM
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders
from ibkr.session.account_state import AccountState
from ibkr.session.connector_interface import ConnectorInterface
from ibkr.session.current_time import CurrentTime
from ibkr.session.error_log import call_shielded, warn_always
from ibkr.session.library import Arguments, Recording, adopt
from ibkr.session.message_handler import MessageHandler
from ibkr.session.orders.gap_tracker import GapTracker
from ibkr.session.orders.journal_recorder import JournalRecorder
from ibkr.session.orders.order_halt import HaltSwitch
from ibkr.session.orders.order_sender import OrderSender
from ibkr.session.request_deadlines import RequestDeadlines
from ibkr.session.sender import RateLimiter, Sender
from ibkr.session.startup import StartUp
from ibkr.session.subscriptions import SubscriptionManager
from ibkr.session.transport import Transport

if TYPE_CHECKING:
    from ib_async import IB, Contract, Order

    from ibkr.journal.journal_store import Journal
    from ibkr.proxy.recording_writer import Recorder as FrameRecorder

T = TypeVar("T")


class Session:
    """Implements ``library.Hooks``, and what the driver needs to carry out effects."""

    incoming: MessageHandler
    check_thread: Callable[[], None]

    def __init__(
        self,
        ib: IB,
        settings: ConnectionSettings,
        policy: Policy,
        limiter: RateLimiter,
        connector: ConnectorInterface,
        *,
        in_fleet: bool = False,
    ) -> None:
        # This function has over 40 lines because it creates many parts.
        self._policy, self._connector, self._in_fleet = policy, connector, in_fleet
        self.check_thread = connector.check_thread  # called for each message: this avoids an extra call
        self._account, self._readonly = settings.account, settings.readonly
        self._connected_event_handle: asyncio.Handle | None = None
        self._is_released = True
        self._frame_recorder = _recorder_in(settings.record)

        self._library = library = adopt(ib, self)
        self._ib, self._client, self._wrapper = library.ib, library.client, library.wrapper
        self.sender = Sender(library.client, limiter)
        self.subscriptions = SubscriptionManager(
            library,
            self.sender,
            policy,
            self._post_subscriptions,
            lambda key, name: self._deadlines.stream_sent(key, name),
        )
        self.account_state = AccountState(library.wrapper)
        self._deadlines = RequestDeadlines(library, policy.request_deadlines, self.subscriptions.abandon_request)
        self.answer_times = self._deadlines.answer_times
        self.may_repeat: Callable[[Key], bool] = self.subscriptions.requests.may_repeat
        self._current_time = CurrentTime(library, self.sender, policy.probe_apart)
        self._sent_orders = UnacknowledgedOrders()
        self.gaps = GapTracker(
            library,
            self.subscriptions,
            self._sent_orders,
            policy,
            request_again=lambda names: self.resend_startup_requests(names, shared=True),
            startup=lambda: self.incoming.startup,
            on_unconfirmed=self._post_unconfirmed,
            on_gap=connector.gap_found,
        )
        journal = _journal_of(settings)
        self.halt = HaltSwitch(None if journal is None else journal.halt_file, connector.post)
        self.recorder = JournalRecorder(
            journal,
            library,
            self._sent_orders,
            self.gaps,
            connector.post,
            self.halt.refresh,
            is_required=policy.require_journal,
        )
        self._orders = OrderSender(
            library,
            self.sender,
            self._sent_orders,
            self.gaps.errors,
            self.gaps.trades,
            self.recorder.intents,
            self.halt,
            connector,
            policy,
            self._post_unconfirmed,
        )
        self._transport = Transport(
            library,
            settings.host,
            settings.client_id,
            policy,
            connector,
            on_open=self._session_begins,
            end_session=self._end_session,
        )
        self.incoming = MessageHandler(
            library,
            connector,
            self._transport,
            self.subscriptions,
            self.gaps,
            self.recorder,
            self.account_state,
            self._deadlines,
            self._current_time,
        )
        self.messages = self.incoming.messages

    def _post_subscriptions(self) -> None:
        self.incoming.post_subscriptions()

    def _post_unconfirmed(self, orders: tuple[SentOrder, ...]) -> None:
        self.incoming.post_unconfirmed(orders)

    # Called by the library's objects.

    def recording(self) -> Recording | None:
        """Where to record the bytes of a new connection, or ``None``."""
        return None if self._frame_recorder is None else self._frame_recorder.observe()

    # Read by the driver.

    @property
    def last_message(self) -> float:
        """When a message was last decoded, in the loop's time."""
        return self._library.reader.last_message

    @property
    def last_answer(self) -> float:
        """When the gateway last answered a request, in the loop's time. At that time, both directions worked."""
        return self.incoming.last_answer

    @property
    def has_socket(self) -> bool:
        """Whether the port has accepted the connection of the newest attempt."""
        return self._transport.is_connected

    @property
    def lost_transport(self) -> str:
        """Why the connection is ending, known before the loop reports it. Empty as long as messages can be sent."""
        return self._transport.lost_transport

    @property
    def has_ended(self) -> bool:
        """Whether the newest attempt is over and its socket is gone."""
        return self._transport.has_ended

    def stats(self) -> Stats:
        """The counters and measurements of sessions. The connector adds others."""
        bytes_in, bytes_out, messages_in, messages_out = self._client.traffic
        return Stats(
            as_of=dt.datetime.now(dt.UTC),
            subscriptions=self.subscriptions.tracker.counts,
            bytes_in=bytes_in,
            bytes_out=bytes_out,
            messages_in=messages_in,
            messages_out=messages_out,
            probes=self._current_time.answers,
            round_trips=tuple(self._current_time.round_trips),
        )

    def prepare(self) -> None:
        """A connection is requested: open the journal.

        Raises ``JournalError`` if the journal is someone else's, ``RuntimeError`` if another connector has ``ib``.
        """
        if self._library.ib.hooks is not self:
            raise RuntimeError(
                "this connector's IB object now belongs to another IBConnector that was created with it: use that one"
            )
        self._is_released = False
        if not self._in_fleet:  # in a fleet, the journal is opened when this program leads
            self.recorder.open()
        self.halt.refresh()

    # Effects that open or end a socket.

    def start_attempt(
        self, attempt: int, port: int, client_id: int | None, *, from_lost_address: bool, is_standby: bool
    ) -> None:
        """Begin an attempt. It ends with exactly one ``SocketClosed``.

        In a fleet, ``client_id`` comes from the lease.
        """
        in_use = ""
        if client_id is not None:
            self._transport.client_id = client_id
            in_use = self.recorder.lease_granted(client_id, leads=not is_standby)
        # Open the connection first: the gateway can work while we prepare the rest.
        self._transport.open(attempt, port, from_lost_address=from_lost_address)
        self.incoming.begin(attempt)
        self.subscriptions.begin()
        self.gaps.trades.begin()
        self.account_state.begin()
        self._current_time.begin()
        self._deadlines.begin()
        self._orders.begin()
        self.sender.begin()
        if in_use:  # the former leader on this computer still uses the journal: try again as after a refused client id
            self._connector.post(AttemptFailed(attempt, Failure(FailureKind.CLIENT_ID_IN_USE, in_use)))

    def close_socket(self) -> None:
        """End the socket properly. Everything that was written and all waiting orders are sent first."""
        self.sender.send_orders_now()
        self._transport.close()

    def abort_socket(self) -> None:
        """End the socket now."""
        self._transport.abort()

    def discard_unsent(self, discard: bool) -> None:
        """Set whether to discard unsent bytes when the socket ends, or to deliver them."""
        self._library.conn.discard_unsent(discard)

    def end_subscriptions(self) -> None:
        """End the streams that the program has requested. These streams are not restored later."""
        self._wrapper.setEventsDone()
        self.subscriptions.release()
        self.gaps.trades.release()
        self.account_state.release()
        self._is_released = True
        if not self._client.isReady():
            self.recorder.close()

    def shut_down(self) -> None:
        """Let the system end the socket, because the loop cannot do so."""
        self._library.conn.shut_down()

    def detach(self) -> None:
        """In a forked process: release the socket and the journal, which belong to the parent."""
        self._library.conn.detach()
        self.recorder.after_fork()

    def abandon(self) -> None:
        """Prepare for another loop: forget the old loop and its socket, which no longer exist."""
        self._stop_requests()
        self.gaps.abandon()
        self._transport.forget()
        self._wrapper.forget_all()
        self.end_subscriptions()
        self.recorder.close()

    def _session_begins(self) -> None:
        """Begin a session, because the gateway has sent the accounts and the next id."""
        self.sender.session_opened()
        self.subscriptions.session_opened()
        self.incoming.startup = startup = StartUp(
            self._library,
            self._account,
            readonly=self._readonly,
            on_answer=self.incoming.answered,
            on_unreadable=self.incoming.answer_unreadable,
        )
        startup.include_others = self.gaps.has_gap
        version, accounts = self._client.serverVersion(), tuple(self._client.getAccounts())
        self.recorder.session_opened(accounts)
        subscriptions = self.subscriptions
        self._connector.post(
            SessionOpened(
                self.incoming.attempt,
                version,
                accounts,
                startup.names,
                subscriptions.has_to_restore,
                subscriptions.has_handlers_to_restore,
            )
        )

    def _end_session(self, is_our_will: bool) -> None:
        """Messages can no longer be sent: clear the session, but keep the objects that the program uses."""
        # 1. Drop messages that wait to be sent.
        self._stop_requests()
        was_ready = self._client.isReady()
        # 2. If we end the session: notify the library's listeners before the library clears its maps. The library's own
        # disconnect does the same.
        if is_our_will:
            self._client.reset()
            if was_ready:
                call_shielded(self._ib.disconnectedEvent.emit)
        # 3. Take the program's objects out of the library's maps. The library clears the maps. Put the objects back.
        if was_ready:
            if self.incoming.startup is not None:
                self.incoming.startup.abandon()
            self.gaps.before_reset(self._library.reader.silence)
            self.subscriptions.before_reset()
            self.account_state.before_reset()
            self._wrapper.reset()
            self.subscriptions.after_reset()
            self.incoming.report_changes()
            self.gaps.trades.after_reset()
            self.account_state.after_reset()
        # 4. Prepare the client for the next socket.
        if not is_our_will:
            self._client.reset()
        if self._is_released:
            self.recorder.close()

    def _stop_requests(self) -> None:
        self._current_time.end()
        self._deadlines.session_ended()
        self._orders.end()
        self.sender.end()

    # Effects: start-up, comparison, restore.

    def send_startup_requests(self) -> None:
        """Send the start-up requests."""
        startup = self.incoming.startup
        assert startup is not None, "there is a session"
        if self._has_no_session():
            return
        self.gaps.trades.start_up()
        if startup.was_sent:
            startup.include_others = self.gaps.has_gap
            self._connector.post(StartupRequested(self.incoming.attempt, startup.names))
        self.account_state.start_up(startup.names)
        with self._library.conn.batched_writes(), self.subscriptions.requests.start_up():
            startup.send_all()

    def resend_startup_requests(self, names: tuple[str, ...], *, shared: bool) -> None:
        """Send these start-up requests again."""
        if not self._has_no_session():
            self._request(names, shared=shared, anew=False)

    def _request(self, names: tuple[str, ...], *, shared: bool, anew: bool) -> None:
        startup = self.incoming.startup
        if startup is None:
            return
        known = tuple(name for name in startup.names if name in names)  # executions last, so that each finds its order
        self.account_state.requested(known)
        with self.subscriptions.requests.start_up():
            if anew:
                startup.request_fresh(known)
            else:
                startup.request_again(known, shared=shared)

    def request_broker_state(self, names: tuple[str, ...], *, is_late: bool) -> None:
        """Request orders, executions and positions again. Use only the new answers, or, if ``is_late``, the first."""
        if not self._has_no_session():
            if is_late:
                self.gaps.trades.collect_fills()
            else:
                self.gaps.trades.start_up()
            with self._library.conn.batched_writes():
                self._request(names, shared=True, anew=not is_late)

    def amend_gap_report(self) -> None:
        """Report executions that arrived after the gap was reported."""
        self.gaps.amend()

    def compare_broker_state(self, cause: str, unknown: tuple[str, ...], outage: int) -> None:
        """Update the trades, and compare them with the state before the outage."""
        self.gaps.compare(cause, unknown, outage)

    def report_gap(self) -> None:
        """Report the changes of the outage that is over.

        After the first start-up, request other clients' orders, so that later gaps can be compared.
        """
        self.gaps.report()
        asyncio.get_running_loop().call_soon(self.recorder.flush)
        if self.incoming.startup is not None:
            # Wait until the rate limiter allows a full burst again, because the program's requests go first.
            self.incoming.startup.request_others_later(self._policy.send_burst / self._policy.send_rate)

    def emit_connected_event(self) -> None:
        """Emit the library's ``connectedEvent``, as its own connect does.

        The event is emitted in a callback of the loop. There, a handler may block if the loop is patched to nest.
        """
        if len(self._ib.connectedEvent):
            loop = asyncio.get_running_loop()
            self._connected_event_handle = loop.call_soon(self._emit_connected, self.incoming.attempt)

    def _emit_connected(self, attempt: int) -> None:
        self._connected_event_handle = None
        if attempt == self.incoming.attempt and not self._has_no_session():
            with self.subscriptions.requests.connected_event():
                call_shielded(self._ib.connectedEvent.emit)

    def restore_subscriptions(self, *, same_session: bool, with_handlers: bool) -> None:
        """Request every subscription again. Subscriptions of handlers come later: the handlers may repeat them."""
        if self._connected_event_handle is None:
            self._restore(self.incoming.attempt, same_session, with_handlers)
        else:
            asyncio.get_running_loop().call_soon(
                self._restore_later, self.incoming.attempt, same_session, with_handlers
            )

    def _restore_later(self, attempt: int, same_session: bool, with_handlers: bool) -> None:
        try:
            self._restore(attempt, same_session, with_handlers)
        except Exception as error:  # this call is not made by the driver, which handles the errors of effects
            self.failed("restoring subscriptions", error)

    def _restore(self, attempt: int, same_session: bool, with_handlers: bool) -> None:
        if attempt != self.incoming.attempt or self._has_no_session():
            return
        with self._library.conn.batched_writes():
            self.subscriptions.restore(same_session=same_session, with_handlers=with_handlers)
        self._post_subscriptions()

    def send_probe(self) -> None:
        """Request the gateway's time."""
        self._library.reader.probe_sent()
        self._current_time.probe()

    def find_active_streams(self, feed: Feed | None, since: float, farm: str) -> None:
        """Report which streams ticked before the loss of upstream or a farm."""
        streams = self.subscriptions.streams_that_ticked(feed, since)
        self._connector.post(ActiveStreamsFound(self.incoming.attempt, farm, streams))

    def request_streams(self, req_ids: tuple[Key, ...], unless_since: float | None, *, anew: bool) -> None:
        """Request single streams again on the live socket."""
        if self._has_no_session():
            return
        with self._library.conn.batched_writes():
            streams = self.subscriptions.request_again(req_ids, unless_since, anew=anew)
        self._post_subscriptions()
        if streams:
            self._connector.post(ActiveStreamsFound(self.incoming.attempt, EVERY_FARM, streams))

    def reduce_send_rate(self) -> None:
        """Send fewer messages a second in this session."""
        self.sender.slow_down()

    def send_global_cancel(self, number: int) -> None:
        """Send a global cancel, then a request. The request's answer proves that the gateway has read the cancel."""
        if self._has_no_session():
            return
        delivered = GlobalCancelDelivered(self.incoming.attempt, number)
        self.halt.cancel_sent()
        self._ib.reqGlobalCancel()
        if not self._has_no_session():  # in a plain script, the call above waits, and the session may end
            self._current_time.call_when_reached(partial(self._connector.post, delivered))

    def record_global_cancel(self) -> None:
        """Note next to the journal, or in the fleet, that all orders are cancelled."""
        try:
            self.halt.cancelled()
        except OSError as error:
            warn_always(f"The global cancel was sent, but the halt file could not be written: {error}")

    def _has_no_session(self) -> bool:
        """Whether the socket is already closed. Its event may still wait until the current effect is carried out."""
        return not self._client.isReady()

    # Called by the connector.

    def clear_unconfirmed(self, order_ids: tuple[int, ...]) -> None:
        """Remove unconfirmed orders that the user has checked. An empty tuple means all."""
        ids = order_ids or tuple(order.order_id for order in self._sent_orders.unconfirmed)
        self.recorder.intents.mark_cleared(ids)
        self.gaps.clear_unconfirmed(order_ids)

    def age(self, obj: object, now: float) -> float | None:
        """Seconds since the last message about this object in this session, or ``None``."""
        return self.subscriptions.age(obj, now)

    def refuse_orders(self, why: str) -> None:
        """Drop this session's waiting orders at the time when they would be sent. Cancels are still sent."""
        self.sender.refuse_orders(why)

    def current_time_answer(self) -> asyncio.Future[dt.datetime]:
        """Request the gateway's time. Returns the future of the answer."""
        return self._current_time.request()

    # Hooks for requests.

    def check_socket(self) -> None:
        self._orders.check_socket()

    def check_order(self, order: Order | None) -> None:
        self._orders.check(order)

    def check_what_if(self) -> None:
        self._orders.check_session("what-if order")

    def send(self, message: str) -> None:
        self.sender.send_from_library(message, self._deadlines.message_sending(message))

    def request(self, method: str, arguments: Arguments) -> None:
        self.subscriptions.requests.request(method, arguments)
        self.incoming.report_changes()

    def cancel(self, method: str, arguments: Arguments) -> None:
        self.subscriptions.requests.cancel_request(method, arguments)

    def market_data_type(self, data_type: int) -> None:
        self.subscriptions.requests.data_type_requested(data_type)

    def current_time(self) -> None:
        self._current_time.request_current_time()

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

    # Hooks for the end of the socket, and for the program's control of the connection.

    async def connect_socket(self, port: int) -> socket.socket:
        return await self._transport.connect(port)

    def transport_ended(self, error: Exception | None) -> None:
        try:
            self._transport.transport_ended(error)
        except Exception as mistake:
            self.failed("ending a session", mistake)

    def failed(self, what: str, error: Exception) -> None:
        self._connector.failed(what, error)

    def disconnect(self) -> bool:
        return self._connector.disconnect()

    def run_blocking(self, work: Callable[[], Awaitable[T]], timeout: float | None) -> T:
        return self._connector.run_blocking(work, timeout)

    def run_until_over(self) -> None:
        self._connector.run_until_over()


def _recorder_in(directory: str) -> FrameRecorder | None:
    """The writer that records every session in a folder. Raises ``ConfigError`` if the folder cannot be created."""
    if not directory:
        return None
    from ibkr.proxy.recording_writer import Recorder as FrameRecorder

    try:
        return FrameRecorder(directory)
    except (OSError, ValueError) as error:
        cure = f"the folder cannot be created: {getattr(error, 'strerror', None) or error}; name another folder"
        raise ConfigError("ibkr.record", directory, cure) from error


def _journal_of(settings: ConnectionSettings) -> Journal | None:
    if not settings.journal:
        return None
    from ibkr.journal.journal_store import Journal  # imported here: most programs have no journal

    return Journal(settings.journal, settings.client_id, settings.journal_sync)
