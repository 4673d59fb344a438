"""Handles every incoming message except ticks: errors, order rows, executions, answers.

Passes them to the other parts of the session, and posts events.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ibkr.core.activity import Message, RecentRecords
from ibkr.core.codes import is_about_farm, is_about_link, is_read_only, is_warning, reaction
from ibkr.core.errors import Failure
from ibkr.core.events import (
    CodeReceived,
    FarmStatusReceived,
    Key,
    LimitReached,
    ProbeAnswered,
    RowsNotDecoded,
    StartupAnswered,
    StartupRefused,
    SubscriptionsChanged,
    UnconfirmedOrdersChanged,
)
from ibkr.core.order_records import SentOrder
from ibkr.core.serialization import sanitize_text
from ibkr.core.startup_requests import ACCOUNT_UPDATES
from ibkr.session.account_state import AccountState
from ibkr.session.connector_interface import ConnectorInterface
from ibkr.session.current_time import REQUEST_KEY, CurrentTime
from ibkr.session.library import Answer, Library, StatusRow
from ibkr.session.orders.gap_tracker import GapTracker
from ibkr.session.orders.journal_recorder import JournalRecorder
from ibkr.session.request_deadlines import RequestDeadlines
from ibkr.session.startup import StartUp
from ibkr.session.subscriptions import SubscriptionManager
from ibkr.session.subscriptions.manager import LOST_UPDATES, REFUSED_UPDATES
from ibkr.session.transport import Transport

if TYPE_CHECKING:
    from ib_async import CommissionReport, Contract, Execution, Order, OrderState


class MessageHandler:
    """Implements ``library.IncomingHooks``.

    Attributes:
        attempt: The number of the attempt that the messages belong to.
        startup: The session's start-up. ``None`` until there is a session.
        last_answer: When the gateway last answered a request, in the loop's time.
        messages: The last errors and notices of all sessions.
    """

    _notices: list[tuple[int, str]]
    _answers: list[str]
    _answers_read_only: bool

    def __init__(
        self,
        library: Library,
        connector: ConnectorInterface,
        transport: Transport,
        subscriptions: SubscriptionManager,
        gaps: GapTracker,
        recorder: JournalRecorder,
        account_state: AccountState,
        deadlines: RequestDeadlines,
        current_time: CurrentTime,
    ) -> None:
        self._library, self._connector, self._transport = library, connector, transport
        self._subscriptions, self._gaps, self._recorder = subscriptions, gaps, recorder
        self._account_state, self._deadlines, self._current_time = account_state, deadlines, current_time
        self.messages = RecentRecords(Message)
        self.begin(0)

    def begin(self, attempt: int) -> None:
        """Begin a new attempt. Nothing has arrived yet."""
        self.attempt = attempt
        self.startup: StartUp | None = None
        self.last_answer = -math.inf
        self._notices, self._answers, self._answers_read_only = [], [], False

    def accepted(self) -> None:
        self._transport.accepted()

    def peer_rejected(self, failure: Failure) -> None:
        self._transport.peer_rejected(failure)

    def session_opened(self) -> None:
        self._transport.session_opened()

    def slice_read(self, arrived_at: float) -> None:
        self._subscriptions.record_ticks(arrived_at)
        self._post_batched()
        self._recorder.flush()

    def error(self, req_id: int, code: int, text: str, advanced: str) -> None:
        """Handle an error before the library does: some of the library's reactions must be prevented."""
        text = sanitize_text(text)
        self.messages.note(datetime.now(UTC), code, text, req_id)
        if is_about_farm(code):
            self._notices.append((code, text))
            if not self._library.reader.is_reading:
                self._post_batched()
            self._pass_to_library(req_id, code, text, advanced)
            return
        self._post_batched()
        if self._library.client.decoder.is_late(req_id):
            return
        self._recorder.mark_changed()
        startup = self.startup
        if startup is not None:
            self._start_up_refused(startup, req_id, code, text)
        self._gaps.link_changed(reaction(code))
        if is_about_link(code):
            self._connector.post(CodeReceived(self.attempt, code, text))
            self._gaps.doubt_orders(reaction(code))  # after the event, so that no listener sees an outdated status
            # The library would log each of these codes as ERROR, even a recovery. The status reports the codes better.
            if not self._gaps.errors.handle(req_id, code, text, advanced):
                self._library.ib.errorEvent.emit(req_id, code, text, None)
        else:
            pass_on = partial(self._pass_to_library, req_id, code, text, advanced)
            self._subscriptions.error_received(req_id, code, text, pass_on)
        if startup is not None and is_read_only(code, text):
            startup.read_only()
            self._connector.post(CodeReceived(self.attempt, code, text))

    def _start_up_refused(self, startup: StartUp, req_id: int, code: int, text: str) -> None:
        """Treat a refused start-up request as answered. Later, the same code means that the stream is lost."""
        name = ""
        if code in (LOST_UPDATES, REFUSED_UPDATES):
            if not self._subscriptions.account_updates_lost(code, text) and ACCOUNT_UPDATES in startup.names:
                name = ACCOUNT_UPDATES
                startup.end_refused(name)
        elif not is_warning(code) and not is_read_only(code, text):
            name = startup.refused(req_id)
        if name:
            self._connector.post(StartupRefused(self.attempt, name, text, code))

    def _pass_to_library(self, req_id: int, code: int, text: str, advanced: str) -> None:
        """Pass an error to the library, unless it names an order: the library would end the order."""
        if not self._gaps.errors.handle(req_id, code, text, advanced):
            self._library.wrapper.read_error(req_id, code, text, advanced)

    def request_begun(self, key: Hashable, future: Answer) -> None:
        is_of_start_up = self.startup is not None and self.startup.is_sending
        if key != REQUEST_KEY and not is_of_start_up:  # these requests have their own time limits
            name = self._subscriptions.sent_request(key)
            if name:
                self._deadlines.stream_sent(key, name)
            else:
                self._deadlines.request_started(key, future)

    def is_late_answer(self, key: Hashable) -> bool:
        return self._deadlines.is_late_answer(key)

    def take_timeout(self, key: Hashable) -> TimeoutError | None:
        return self._deadlines.take_error(key)

    def request_ended(self, key: Hashable, *, is_answer: bool) -> None:
        self._deadlines.request_ended(key, is_answer=is_answer)
        if is_answer and self._library.client.isReady():
            self.last_answer = self._library.reader.now()
        if key == REQUEST_KEY:
            self._current_time_received()
        if self.startup is not None and is_answer:
            self.startup.ended(key)

    def _current_time_received(self) -> None:
        """Handle the time of the gateway. It shows that the gateway is alive, and may be the answer to a probe."""
        self._current_time.answered()
        self.last_answer = self._library.reader.now()
        if self._library.reader.is_probed:
            self._library.reader.probe_answered()
            self._connector.post(ProbeAnswered(self.attempt))

    def limit_reached(self, words: str) -> None:
        self._connector.post(LimitReached(self.attempt, words))

    def row_unreadable(self, name: str) -> None:
        if name == ACCOUNT_UPDATES:
            self._account_state.portfolio_unreadable()
        if self.startup is not None:
            self.startup.row_unreadable(name)

    def message_seen(self, key: Key, *, is_data: bool) -> None:
        self._subscriptions.message_seen(key, is_data=is_data)

    def object_updated(self, key: Key) -> None:
        self._subscriptions.object_updated(key)

    def open_order(self, order_id: int, contract: Contract, order: Order, state: OrderState) -> None:
        self._gaps.trades.open_order(order_id, contract, order, state)
        self._recorder.order_received(order.clientId, order.orderId, order.permId)

    def order_status(self, row: StatusRow) -> None:
        self._gaps.trades.order_status(row)
        self._recorder.order_received(row.client_id, row.order_id, row.perm_id)

    def completed_order(self, contract: Contract, order: Order, state: OrderState) -> None:
        self._gaps.trades.completed_order(contract, order, state)
        self._recorder.order_received(-1, 0, order.permId)

    def execution(self, req_id: int, contract: Contract, execution: Execution) -> None:
        self._gaps.trades.execution(req_id, contract, execution)
        self._recorder.execution_received(contract, execution)

    def commission(self, report: CommissionReport) -> None:
        self._gaps.trades.commission(report)

    def portfolio_complete(self, account: str) -> None:
        self._account_state.portfolio_complete(account)

    # Events. The notices and answers of one slice are posted together, before any later event. This saves steps of the
    # state machine, because a session begins with many messages.

    def answered(self, name: str, read_only: bool) -> None:
        """Post the answer together with the other answers of its slice.

        If this answer completes the orders, post it immediately, because later rows report changes.
        """
        startup = self.startup
        self._account_state.answered(name)
        self._gaps.answered(name, read_only=read_only)
        self._recorder.answered(name)
        self._answers.append(name)
        self._answers_read_only |= read_only
        if startup is None or not startup.awaits_orders or not self._library.reader.is_reading:
            self._post_batched()

    def answer_unreadable(self, name: str) -> None:
        self._post_batched()
        self._connector.post(RowsNotDecoded(self.attempt, (name,)))
        self._gaps.row_unreadable(name)

    def post_subscriptions(self) -> None:
        self._post_batched()
        tracker = self._subscriptions.tracker
        self._connector.post(
            SubscriptionsChanged(
                self.attempt,
                tracker.pending,
                tracker.refused,
                tracker.ended,
                tracker.withheld,
                tracker.held_back,
                tracker.silent,
            )
        )
        self.report_changes()

    def report_changes(self) -> None:
        """Publish which subscriptions have changed, if anyone listens."""
        tracker = self._subscriptions.tracker
        if tracker.changed:
            keys, tracker.changed = tuple(tracker.changed), {}
            if self._connector.has_subscription_listeners:
                self._connector.subscriptions_changed(self._subscriptions.statuses(self._library.reader.now(), keys))

    def post_unconfirmed(self, orders: tuple[SentOrder, ...]) -> None:
        self._recorder.mark_changed()
        self._connector.post(UnconfirmedOrdersChanged(orders))

    def _post_batched(self) -> None:
        if self._notices:
            notices, self._notices = tuple(self._notices), []
            self._connector.post(FarmStatusReceived(self.attempt, notices))
        if self._answers:
            names, self._answers = tuple(self._answers), []
            read_only, self._answers_read_only = self._answers_read_only, False
            self._connector.post(StartupAnswered(self.attempt, names, read_only))
