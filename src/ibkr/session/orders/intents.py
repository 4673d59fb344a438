"""Records in the journal what the program is about to send, before it is sent, and records the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ibkr.core.errors import JournalError, NotReady
from ibkr.core.journal_records import Intent, IntentKind, IntentOutcome, IntentState, LastKnownState
from ibkr.core.order_records import SentOrder
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders
from ibkr.session.library import Library
from ibkr.session.orders.convert import prices_of, sent_order

if TYPE_CHECKING:
    from ib_async import Order as LibraryOrder

    from ibkr.journal.journal_store import Journal

_NO_ORDER = SentOrder(0, "", 0, "", "", 0.0, "", "")


class IntentLog:
    """Writes intents into the journal of one connector. Without a journal, its methods do nothing.

    Args:
        journal: The journal, or ``None``.
        library: The client library's objects.
        sent: Orders that the gateway has not acknowledged.
        prepare: Called before an intent is committed. Notes everything received, and returns whether nothing is
            missing.
        on_trouble: Called when a commit has failed.
        is_required: Whether an order may be sent only if its intent was committed.
    """

    def __init__(
        self,
        journal: Journal | None,
        library: Library,
        sent: UnacknowledgedOrders,
        prepare: Callable[[], bool],
        on_trouble: Callable[[], None],
        *,
        is_required: bool,
    ) -> None:
        self._journal, self._sent = journal, sent
        self._wrapper = library.wrapper
        self._prepare, self._on_trouble, self._is_required = prepare, on_trouble, is_required
        self._number = 0
        self._open: dict[int, int] = {}
        """The number of the intent of each order that nobody has acknowledged."""
        self._changes: dict[int, list[int]] = {}
        self._lost_changes: dict[int, int] = {}
        self._unsent: set[int] = set()
        self._waiting: set[int] = set()

    @property
    def last_number(self) -> int:
        """The number of the last intent."""
        return self._number

    def opened(self, last_number: int) -> None:
        """Continue the numbers of the journal, which is open now. Another program may have written more intents."""
        self._number = max(self._number, last_number)

    def restore_from_journal(self, known: LastKnownState) -> None:
        """Take over the open intents of an earlier program."""
        for number, lost in known.lost.items():
            order = lost.terms[0]
            (self._lost_changes if order.is_change else self._open)[order.order_id] = number

    def record(
        self, kind: IntentKind, order: SentOrder, terms: LibraryOrder | None, check_again: Callable[[], None]
    ) -> int:
        """Commit an intent and return its number. Raises ``JournalError`` if the order must not be sent.

        The commit may wait, so ``check_again`` is called after it. It raises ``NotReady`` if the order must not be sent
        any more.
        """
        if self._journal is None:
            return 0
        knew_ended = self._prepare() and self._sent.knows_ended
        self._number += 1
        limit_price, stop_price = (None, None) if terms is None else prices_of(terms)
        now, state = datetime.now(UTC), IntentState.SENT
        self._commit(Intent(self._number, now, kind, order, limit_price, stop_price, knew_ended, state, 0))
        try:
            check_again()
        except NotReady:
            self._refused_after_commit(kind, order.order_id)
            raise
        if kind is IntentKind.CHANGE:
            self._changes.setdefault(order.order_id, []).append(self._number)
        else:
            self._open[order.order_id] = self._number
            self._close_intent(self._lost_changes, order.order_id, IntentState.CLEARED)  # the order is placed again
        self._unsent.add(self._number)
        return self._number

    def _refused_after_commit(self, kind: IntentKind, order_id: int) -> None:
        """Note that the order was not sent. If it was dropped before, it is still among the unconfirmed orders."""
        is_change = kind is IntentKind.CHANGE
        numbers = self._lost_changes if is_change else self._open
        was_dropped = order_id in numbers if is_change else self._sent.never_left(order_id)
        if was_dropped:
            numbers[order_id] = self._number
        state = IntentState.NOT_SENT if was_dropped else IntentState.CLEARED
        assert self._journal is not None
        self._journal.note(IntentOutcome(self._number, state))

    def record_cancel(self, kind: IntentKind, order_id: int = 0) -> None:
        """Note a cancel. A cancel never waits for the journal."""
        if self._journal is not None:
            trade = self._wrapper.trades.get(self._wrapper.own_order_key(order_id))
            order = _NO_ORDER if trade is None else sent_order(order_id, trade.contract, trade.order, has_left=True)
            self._number += 1
            self._journal.note(Intent(self._number, datetime.now(UTC), kind, order))

    def mark_waiting(self, number: int) -> None:
        """If the order was not sent during the call to send it, note that it is waiting."""
        if self._journal is not None and number in self._unsent:
            self._waiting.add(number)
            self._journal.note(IntentOutcome(number, IntentState.WAITING))

    def commit_before_send(self, number: int) -> str:
        """Commit that a waiting order is sent now. Returns why it must not be sent, or an empty text."""
        if number in self._waiting:
            self._waiting.discard(number)
            try:
                self._commit(IntentOutcome(number, IntentState.SENT))
            except JournalError as error:
                return str(error)
        return ""

    def mark_sent(self, number: int) -> None:
        """Note that the message was written to the socket."""
        self._unsent.discard(number)

    def mark_dropped(self, number: int, order: SentOrder, *, is_change: bool) -> None:
        """Note that the message will never be sent."""
        if self._journal is not None:
            self._unsent.discard(number)
            self._waiting.discard(number)
            self._journal.note(IntentOutcome(number, IntentState.NOT_SENT))
            self._forget_change(number)
            if is_change:
                self._lost_changes[order.order_id] = number

    def mark_refused(self, number: int) -> None:
        """Note that the client library could not encode the message. The caller gets the error."""
        if self._journal is not None and number in self._unsent:
            self._unsent.discard(number)
            self._journal.note(IntentOutcome(number, IntentState.CLEARED))
            self._forget_change(number)
            self._open = {order_id: each for order_id, each in self._open.items() if each != number}

    def _forget_change(self, number: int) -> None:
        """Forget a change that will never be sent, so the gateway cannot acknowledge it."""
        for numbers in self._changes.values():
            if number in numbers:
                numbers.remove(number)

    def mark_cleared(self, order_ids: Iterable[int]) -> None:
        """Note that the user has checked what happened to these orders."""
        for order_id in order_ids:
            for numbers in (self._open, self._lost_changes):
                if numbers is self._lost_changes or self._sent.is_unconfirmed(order_id):
                    self._close_intent(numbers, order_id, IntentState.CLEARED)

    def changes_acknowledged(self, order_id: int) -> None:
        """The gateway reports this order, which also acknowledges the changes to it that were sent."""
        assert self._journal is not None
        numbers = self._changes.pop(order_id, [])
        if waiting := [number for number in numbers if number in self._unsent]:
            self._changes[order_id] = waiting
        for number in numbers:
            if number not in self._unsent:
                self._journal.note(IntentOutcome(number, IntentState.ACKNOWLEDGED))

    def _commit(self, entry: Intent | IntentOutcome) -> None:
        assert self._journal is not None
        try:
            self._journal.commit_now(entry)
        except JournalError:
            self._on_trouble()
            if self._is_required:
                raise
            self._journal.note(entry)

    def record_outcomes(self) -> None:
        """Note which orders are no longer pending, and which orders have become unconfirmed."""
        assert self._journal is not None
        for order_id in [order_id for order_id in self._open if not self._sent.is_pending(order_id)]:
            self._close_intent(self._open, order_id, IntentState.ACKNOWLEDGED)
        unconfirmed = self._sent.unconfirmed
        changes = {order.order_id for order in unconfirmed if order.is_change}
        for order_id in self._lost_changes.keys() - changes:  # a later change of the order was sent
            del self._lost_changes[order_id]
        for order in unconfirmed:
            if not order.is_change and order.order_id not in self._open:
                trade = self._wrapper.trades.get(self._wrapper.own_order_key(order.order_id))
                perm_id = 0 if trade is None else trade.order.permId
                self._number += 1
                self._open[order.order_id] = self._number
                at, state = datetime.now(UTC), IntentState.UNCONFIRMED
                self._journal.note(Intent(self._number, at, IntentKind.ORDER, order, state=state, perm_id=perm_id))

    def _close_intent(self, numbers: dict[int, int], order_id: int, state: IntentState) -> None:
        number = numbers.pop(order_id, 0)
        if number and self._journal is not None:
            self._journal.note(IntentOutcome(number, state))
