"""Records in the journal what the program receives.

Received data is recorded as known only while the gap tracker has no open gap. What start-up reports about an outage is
written together with the gap report. So the report is not lost if the program is killed before that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ibkr.core.errors import JournalError, JournalInUse
from ibkr.core.events import Event, JournalOpened, JournalTroubleChanged
from ibkr.core.gap_report import GapReport
from ibkr.core.journal_records import JournalUpdate, SessionLogin
from ibkr.core.order_records import Execution, Order, Position
from ibkr.core.startup_requests import OTHER_CLIENTS_ORDERS, POSITIONS
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders
from ibkr.session.library import Library
from ibkr.session.orders.convert import execution_of, order_of, position_of
from ibkr.session.orders.gap_tracker import GapTracker
from ibkr.session.orders.intents import IntentLog

if TYPE_CHECKING:
    from ib_async import Contract
    from ib_async import Execution as LibraryExecution
    from ib_async import Position as LibraryPosition

    from ibkr.journal.journal_store import Journal

_POSITION_DELAY = 60.0
"""Seconds in which a position follows its execution."""
_POSITION_INTERVAL = 1.0
"""Seconds between checks for changed positions."""


class JournalRecorder:
    """Writes the journal of one connector. Without a journal, its methods do nothing.

    ``post`` processes events. ``refresh_halt`` is called in the event loop when the halt file may have changed.
    """

    def __init__(
        self,
        journal: Journal | None,
        library: Library,
        sent: UnacknowledgedOrders,
        gaps: GapTracker,
        post: Callable[[Event], None],
        refresh_halt: Callable[[], None],
        *,
        is_required: bool,
    ) -> None:
        self._journal = journal
        self._client, self._wrapper = library.client, library.wrapper
        self._gaps, self._post, self._refresh_halt = gaps, post, refresh_halt
        self.intents = IntentLog(
            journal, library, sent, self._flush_and_check, self._check_journal, is_required=is_required
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._accounts: tuple[str, ...] = ()
        self._is_ours = True
        self._has_restored = False
        self._rows: set[int] = set()
        self._executions: list[Execution] = []
        self._is_changed = self._is_whole = False
        self._was_settled = False
        self._knows_others = self._knows_positions = False
        self._reported = gaps.last
        self._written: set[str] = set()
        self._positions: dict[tuple[str, int], LibraryPosition] = {}
        self._checked_at = 0.0
        self._recently_executed: dict[tuple[str, int], float] = {}
        """When contracts were executed: their positions follow soon after."""

    # Opening and closing.

    def open(self) -> None:
        """A connection is requested: open the journal. Raises ``JournalError`` if it belongs to someone else.

        The first time, the state of an earlier program becomes the state before a gap. If another program has used the
        journal since then, its unconfirmed orders are taken over, too.
        """
        journal = self._journal
        if journal is None or journal.is_open:
            return
        self._loop = asyncio.get_running_loop()
        known = journal.open(self._journal_changed)
        was_used = known.last_number > self.intents.last_number  # by another program, since we closed it
        self.intents.opened(known.last_number)
        self._accounts, self._is_ours = known.accounts, True
        self._client.updateReqId(known.highest_id + 1)
        self._was_settled = False
        self._written, self._positions = set(known.picture.executions), {}
        self._post(JournalOpened(known.accounts, had_session=bool(known.accounts)))
        self._post(JournalTroubleChanged(journal.trouble))
        if (was_used or not self._has_restored) and not journal.trouble:
            self.intents.restore_from_journal(known)
            self._gaps.restore_from_journal(known, is_first=not self._has_restored)
            self._has_restored = True

    def lease_granted(self, client_id: int, *, leads: bool) -> str:
        """A session begins with a client id from the fleet. Only the leader has the journal open.

        Returns who else still uses the journal, or an empty text.
        """
        journal = self._journal
        if journal is None:
            return ""
        if not leads:
            self.close()
            self._has_restored = self._is_ours = False
            return ""
        journal.client_id = client_id
        try:
            self.open()
        except JournalInUse as error:
            return str(error)
        except JournalError as error:
            self._post(JournalTroubleChanged(str(error)))
        return ""

    def close(self) -> None:
        """Write the remaining entries, and release the journal. A connection is no longer requested."""
        if self._journal is not None and self._journal.is_open:
            self.flush()
            self._journal.close()
            self._post(JournalTroubleChanged(""))

    def after_fork(self) -> None:
        """In a forked process: release the journal, which belongs to the parent."""
        if self._journal is not None:
            self._journal.after_fork()

    def _journal_changed(self) -> None:
        """Called in the journal's thread: let the event loop check the journal."""
        assert self._loop is not None, "it was opened in one"
        if not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self._check_journal)
            except RuntimeError:  # the loop was closed meanwhile: the check is not needed
                return

    def _check_journal(self) -> None:
        if self._journal is not None and self._journal.is_open:
            self._post(JournalTroubleChanged(self._journal.trouble))
            self._refresh_halt()

    # What the program receives.

    def session_opened(self, accounts: tuple[str, ...]) -> None:
        """Record that a session has begun. A session with other accounts does not belong to this journal."""
        if self._journal is None:
            return
        self._is_ours = not self._accounts or not set(self._accounts).isdisjoint(accounts)
        self._knows_others = False
        if self._is_ours and accounts != self._accounts:
            self._accounts = accounts
            self._journal.note(SessionLogin(accounts))

    def answered(self, name: str) -> None:
        """Note that a start-up request is answered."""
        if name == OTHER_CLIENTS_ORDERS:
            self._knows_others = self._is_whole = True
        elif name == POSITIONS:
            self._knows_positions = True

    def order_received(self, client_id: int, order_id: int, perm_id: int) -> None:
        """Note that a row about an order was read."""
        if self._journal is None or not self._is_ours:
            return
        self._is_changed = True
        self._rows.add(perm_id)
        if client_id == self._client.clientId:
            self.intents.changes_acknowledged(order_id)

    def execution_received(self, contract: Contract, execution: LibraryExecution) -> None:
        """Note an execution of which a row was read."""
        if self._journal is not None and self._is_ours:
            self.order_received(execution.clientId, execution.orderId, execution.permId)
            self._executions.append(execution_of(contract, execution))
            self._recently_executed[execution.acctNumber, contract.conId] = time.time()

    def mark_changed(self) -> None:
        """Note that a received message may have changed the outcome of an order."""
        self._is_changed = True

    def flush(self) -> None:
        """Note everything that was received since the last call.

        This method is called after each slice of messages, so it must be fast.
        """
        journal = self._journal
        if journal is None or not self._is_ours or not journal.is_open:
            return
        if self._is_changed:
            self._is_changed = False
            self.intents.record_outcomes()
        if not self._gaps.is_settled:
            self._was_settled = False
            return
        now = journal.heard_at = time.time()
        if self._is_whole or not self._was_settled:
            self._was_settled = True
            self._record_all(journal, now)
        elif (
            self._rows
            or now - self._checked_at >= _POSITION_INTERVAL
            or (self._recently_executed and self._position_changed(now))
        ):
            self._record_changes(journal, now)

    def _flush_and_check(self) -> bool:
        self.flush()
        self._is_changed = True
        return self._was_settled

    def _record_all(self, journal: Journal, now: float) -> None:
        picture, report = self._gaps.trades.picture(), self._gaps.last
        report = report if report is not self._reported else None
        news = JournalUpdate(
            datetime.fromtimestamp(now, UTC),
            (*_orders_in(report), *picture.orders.values()),
            self._unwritten(picture.executions.values()),
            self._changed_positions(now),
            is_whole=True,
            ended=frozenset(picture.ended),
            knows_others=self._knows_others,
            report=report,
        )
        self._is_whole, self._reported = False, self._gaps.last
        self._clear_changes()
        journal.note(news)

    def _record_changes(self, journal: Journal, now: float) -> None:
        trades = (self._wrapper.permId2Trade.get(perm_id) for perm_id in self._rows)
        orders = tuple(order for trade in trades if trade is not None and (order := order_of(trade)).perm_id)
        news = JournalUpdate(
            datetime.fromtimestamp(now, UTC),
            orders,
            self._unwritten(self._executions),
            self._changed_positions(now),
        )
        self._clear_changes()
        if news.orders or news.executions or news.positions is not None:
            journal.note(news)

    def _clear_changes(self) -> None:
        self._rows.clear()
        self._executions.clear()

    def _unwritten(self, executions: Iterable[Execution]) -> tuple[Execution, ...]:
        found = tuple(each for each in executions if each.exec_id not in self._written)
        self._written.update(each.exec_id for each in found)
        return found

    def _position_changed(self, now: float) -> bool:
        """Whether the position of a recently executed contract has changed."""
        held, known = self._wrapper.positions, self._positions
        for (account, con_id), at in list(self._recently_executed.items()):
            if held.get(account, {}).get(con_id) is not known.get((account, con_id)):
                return True
            if now - at > _POSITION_DELAY:
                del self._recently_executed[account, con_id]
        return False

    def _changed_positions(self, now: float) -> tuple[Position, ...] | None:
        """All positions, if one has changed."""
        self._checked_at = now
        held = {
            (account, con_id): position
            for account, positions in self._wrapper.positions.items()
            for con_id, position in positions.items()
        }
        if not self._knows_positions or held == self._positions:
            return None
        self._positions = held
        return tuple(map(position_of, held.values()))


def _orders_in(report: GapReport | None) -> tuple[Order, ...]:
    """The latest orders in the report. Those that have ended are not in the current state."""
    if report is None:
        return ()
    return (*(change.after for change in report.orders_changed), *report.orders_appeared, *report.orders_confirmed)
