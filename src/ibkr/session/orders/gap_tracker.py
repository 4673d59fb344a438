"""Takes the snapshots before and after an outage, lets ``core.gap_report`` compare them, and publishes the report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ibkr.core.activity import OrderView, order_views
from ibkr.core.codes import Reaction
from ibkr.core.frozen_record import replace
from ibkr.core.gap_report import (
    EARLIER_DAY,
    Backfill,
    BrokerSnapshot,
    GapReport,
    add_late_endings,
    amend_report,
    compare,
    orders_sharing_id,
    spans_a_day,
)
from ibkr.core.journal_records import PROGRAM_ENDED, LastKnownState
from ibkr.core.order_records import Order, SentOrder
from ibkr.core.policy import Policy
from ibkr.core.serialization import sanitize
from ibkr.core.startup_requests import (
    COMPLETED_ORDERS,
    EXECUTIONS,
    OPEN_ORDERS,
    ORDER_REQUESTS,
    OTHER_CLIENTS_ORDERS,
    POSITIONS,
)
from ibkr.core.unacknowledged_orders import UnacknowledgedOrders
from ibkr.session.library import Library
from ibkr.session.orders.order_error_handler import OrderErrorHandler
from ibkr.session.orders.trades import TradeTracker
from ibkr.session.startup import StartUp
from ibkr.session.subscriptions import SubscriptionManager

_LINK_CODES = (Reaction.UPSTREAM_LOST, Reaction.UPSTREAM_BACK, Reaction.UPSTREAM_BACK_DATA_LOST)
_CUT_SHORT = "subscriptions: the session ended before all were restored"


class GapTracker:
    """Tracks gaps as long as the ``IB`` object lives.

    Args:
        request_again: Sends start-up requests again.
        startup: Returns the start-up of this session, if there is one.
        on_unconfirmed: Called when the set of unconfirmed orders has changed.
        on_gap: Called with each report, in a separate callback of the loop.
    """

    def __init__(
        self,
        library: Library,
        subscriptions: SubscriptionManager,
        sent: UnacknowledgedOrders,
        policy: Policy,
        *,
        request_again: Callable[[tuple[str, ...]], None],
        startup: Callable[[], StartUp | None],
        on_unconfirmed: Callable[[tuple[SentOrder, ...]], None],
        on_gap: Callable[[GapReport], None],
    ) -> None:
        self._client = library.client
        self._subscriptions = subscriptions
        self._startup, self._on_unconfirmed, self._on_gap = startup, on_unconfirmed, on_gap
        self.last: GapReport | None = None
        self._sent = sent
        self.trades = TradeTracker(
            library, sent, self._order_found, lambda *order: self.errors.expect_end(*order), startup
        )
        self.errors = OrderErrorHandler(
            library, sent, self.trades, request_again, policy, on_unconfirmed=self._post_unconfirmed
        )
        self._is_current = False
        self._before: tuple[BrokerSnapshot, datetime] | None = None
        self._base: BrokerSnapshot | None = None
        self._missing_answers: frozenset[str] = frozenset()
        self._knew_others = False
        self._journal_cause = ""
        self._confirmed_since: set[int] = set()
        self._pending: GapReport | None = None

    @property
    def has_gap(self) -> bool:
        """Whether there is an earlier state to compare with."""
        return self._before is not None

    @property
    def is_settled(self) -> bool:
        """Whether everything that the gateway reports is known, and no gap is open or unreported."""
        return self._is_current and self._pending is None

    def order_views(self) -> tuple[OrderView, ...]:
        """Every order that has not ended, as far as this program knows."""
        sent = self._sent
        return tuple(order_views(self._client.clientId, self.trades.live_orders(), sent.pending, sent.unconfirmed))

    def restore_from_journal(self, known: LastKnownState, *, is_first: bool) -> None:
        """Take over the unconfirmed orders of another program. If ``is_first``, a gap begins at ``known.until``."""
        self._sent.load_lost_orders(known.lost.values(), known.told)
        if known.until is not None and is_first:
            self._before, self._knew_others = (known.picture, known.until), known.knows_others
            self._journal_cause = PROGRAM_ENDED
        if known.lost:
            self._post_unconfirmed()

    def answered(self, name: str, *, read_only: bool) -> None:
        """Handle the complete answer to a start-up request."""
        self._sent.knows_ended |= name == COMPLETED_ORDERS
        if name == EXECUTIONS:
            self.trades.report_fills()
        if name in self._missing_answers and not read_only:
            self._answered_late(name)
        self.errors.answered(name)

    def _answered_late(self, name: str) -> None:
        """Correct the trades and the report with an answer that arrived after the comparison."""
        old, self._missing_answers = _missing_text(self._missing_answers), self._missing_answers - {name}
        is_about_orders = name in ORDER_REQUESTS and self._missing_answers.isdisjoint(ORDER_REQUESTS)
        if is_about_orders:
            self.trades.resolve_all()
        report = self._pending or self.last
        if report is None or self._base is None:
            return
        incomplete = [*_missing_text(self._missing_answers), *(each for each in report.incomplete if each not in old)]
        report = replace(report, incomplete=tuple(incomplete), is_amended=True)
        if is_about_orders:
            report = replace(report, **add_late_endings(report, self._base, self.trades.picture(self._base)))
        if name == EXECUTIONS:
            report = self._with_late_executions(report, self._base)
        self._report_again(report)

    def _with_late_executions(self, report: GapReport, base: BrokerSnapshot) -> GapReport:
        late = self.trades.take_late_executions(report.end)
        return amend_report(report, base, self.trades.picture(base), late) if late else report

    def _report_again(self, report: GapReport) -> None:
        if self._pending is not None:  # the report has not been published yet
            self._pending = replace(report, is_amended=False)
        else:
            self.last = sanitize(report)
            asyncio.get_running_loop().call_soon(self._on_gap, self.last)

    def row_unreadable(self, name: str) -> None:
        """Look up all live orders, because the row may have contained the result of an order."""
        if self._is_current and name in (OPEN_ORDERS, EXECUTIONS):
            self.errors.look_up_all()

    def abandon(self) -> None:
        """Expect no more answers, because the loop is gone."""
        self.errors.session_ended()
        if self._sent.session_ended():
            self._post_unconfirmed()

    def link_changed(self, what: Reaction) -> None:
        """If the gateway's link to IB was lost or is back, begin an outage: the gateway may not send all changes."""
        if what in _LINK_CODES and self._is_current:
            self._outage_began()

    def doubt_orders(self, what: Reaction) -> None:
        """If the link was lost or is back, mark the orders that may not have reached IB as unconfirmed."""
        if what in _LINK_CODES and self._sent.mark_pending_unconfirmed():
            self._post_unconfirmed()

    def before_reset(self, silence: float) -> None:
        """Save the state before the library clears it. The gateway has not answered for ``silence`` seconds."""
        self.report(cut_short=True)
        if self._is_current:
            self._outage_began(silence)
        self.trades.before_reset()
        self.errors.session_ended()
        if self._sent.session_ended():
            self._post_unconfirmed()

    def compare(self, cause: str, unknown: tuple[str, ...], outage: int) -> None:
        """Update the trades and prepare the report, after start-up was answered as far as possible."""
        self.report()
        self._is_current = True
        self._missing_answers = frozenset(unknown)
        knows_orders = self._missing_answers.isdisjoint(ORDER_REQUESTS)
        if self._before is None:
            return
        before, start = self._before
        self._before, self._base = None, before
        cause, self._journal_cause = self._journal_cause or cause, ""
        self.trades.startup_finished(knows_orders=knows_orders)
        self.errors.startup_finished()
        after, incomplete = self._current_picture(before, unknown)
        end = datetime.now(UTC)
        if spans_a_day(start, end, (None, ZoneInfo("America/New_York"))):
            incomplete.append(EARLIER_DAY)
        accounts = tuple(self._client.getAccounts())
        found = compare(before, after, start, end)
        self._pending = GapReport(
            start,
            end,
            cause,
            incomplete=tuple(incomplete),
            accounts=accounts,
            outage=outage,
            orders_under_one_id=orders_sharing_id(after.orders.values(), self._client.clientId),
            **found,
        )

    def _current_picture(self, before: BrokerSnapshot, unknown: tuple[str, ...]) -> tuple[BrokerSnapshot, list[str]]:
        """The current state, as far as it can be compared with the previous state.

        Also returns, in words, what cannot be compared.
        """
        after = self.trades.picture(before)
        orders = dict(after.orders)
        incomplete = _missing_text(unknown)
        if not self._knew_others and (
            may_be_older := self._of_others(after).keys() - before.orders.keys() - before.ended
        ):
            incomplete.append(_older_orders_text([orders.pop(perm_id) for perm_id in sorted(may_be_older)]))
        # If not all orders were reported, an order that is missing in the answers may still exist: keep it.
        if not set(ORDER_REQUESTS).isdisjoint(unknown):
            orders = {**before.orders, **orders}
        elif OTHER_CLIENTS_ORDERS in unknown:
            orders = {**self._of_others(before), **orders}
        positions = before.positions if POSITIONS in unknown else after.positions
        return replace(after, orders=orders, positions=positions), incomplete

    def _of_others(self, picture: BrokerSnapshot) -> dict[int, Order]:
        """The live orders of other clients and of TWS itself."""
        own = self._client.clientId
        return {key: each for key, each in picture.orders.items() if each.is_live and each.client_id != own}

    def report(self, *, cut_short: bool = False) -> None:
        """Publish the report if there is one. The outage is over, or the next outage begins."""
        if self._pending is None:
            return
        report, self._pending = self._pending, None
        streams = self._subscriptions.after_gap()
        confirmed = [order for order in report.orders_appeared if order.perm_id in self._confirmed_since]
        incomplete = [f"{label} during the outage, still to be filled" for label in streams.unfilled]
        found = replace(
            report,
            end=datetime.now(UTC),
            orders_appeared=tuple(order for order in report.orders_appeared if order not in confirmed),
            orders_confirmed=tuple(confirmed),
            orders_unconfirmed=self._sent.unconfirmed,
            subscriptions_restored=streams.restored,
            subscriptions_refused=streams.refused,
            bars=tuple(Backfill(label, bars) for label, bars in streams.filled),
            incomplete=(*report.incomplete, *incomplete, *([_CUT_SHORT] if cut_short else [])),
        )
        self.last = sanitize(found)
        asyncio.get_running_loop().call_soon(self._on_gap, self.last)

    def amend(self) -> None:
        """Publish the last report again, with executions that came after it. They were requested for this purpose.

        The gateway may report executions of an outage only some time after its end.
        """
        self.trades.report_fills()
        report = self._pending or self.last
        if report is None or self._base is None or self._before is not None:
            return
        news = self._with_late_executions(report, self._base)
        if news is not report:
            self._report_again(news)

    def clear_unconfirmed(self, order_ids: tuple[int, ...]) -> None:
        """Remove unconfirmed orders that the user has checked. An empty tuple means all."""
        if self._sent.clear(order_ids or [order.order_id for order in self._sent.unconfirmed]):
            self._post_unconfirmed()

    def _outage_began(self, silence: float = 0.0) -> None:
        self._is_current = False
        self._missing_answers = frozenset()
        self._before = self.trades.picture(), datetime.now(UTC) - timedelta(seconds=silence)
        startup = self._startup()
        self._knew_others = startup is not None and startup.knows_others
        self._confirmed_since.clear()
        self.trades.outage_began()

    def _order_found(self, perm_id: int) -> None:
        self._confirmed_since.add(perm_id)
        self._post_unconfirmed()

    def _post_unconfirmed(self) -> None:
        self._on_unconfirmed(self._sent.unconfirmed)


def _missing_text(unknown: Iterable[str]) -> list[str]:
    text = ", ".join(sorted(unknown))
    return [f"no answer to the request for {text}"] if text else []


def _older_orders_text(orders: list[Order]) -> str:
    text = ", ".join(f"{each.action} {each.quantity:g} {each.symbol}" for each in orders)
    return f"{len(orders)} order{'s'[: len(orders) > 1]} of other clients that may have existed before: {text}"
