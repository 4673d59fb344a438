"""What is known of orders before an outage and after it, and the report of the difference."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ibkr.core.codes import Reaction
from ibkr.core.gap import EARLIER_DAY, Backfill, GapReport, Picture, compare, spans_a_day
from ibkr.core.orders import Order, SentOrder, SentOrders
from ibkr.core.policy import Policy
from ibkr.core.startup import COMPLETED_ORDERS, EXECUTIONS, OPEN_ORDERS, ORDER_REQUESTS, OTHERS, POSITIONS
from ibkr.session.library import Library
from ibkr.session.orders.errors import OrderErrors
from ibkr.session.orders.trades import Trades
from ibkr.session.subscriptions import SubscriptionManager

_CUT_SHORT = "subscriptions: the session ended before all were restored"


class GapTracker:
    """One for the life of the ``IB`` object.

    ``ask_again`` sends start-up requests once more. ``hides_others``: rows about other clients' orders come now only
    because we have asked; ``knows_others``: all of them are known. ``on_unconfirmed`` is called when not the same
    orders are unconfirmed as before, ``on_gap`` with each report, in a turn of the loop of its own.
    """

    def __init__(
        self,
        library: Library,
        subscriptions: SubscriptionManager,
        sent: SentOrders,
        policy: Policy,
        *,
        ask_again: Callable[[tuple[str, ...]], None],
        hides_others: Callable[[], bool],
        knows_others: Callable[[], bool],
        on_unconfirmed: Callable[[tuple[SentOrder, ...]], None],
        on_gap: Callable[[GapReport], None],
    ) -> None:
        self._client = library.client
        self._subscriptions = subscriptions
        self._knows_others, self._on_unconfirmed, self._on_gap = knows_others, on_unconfirmed, on_gap
        self.last: GapReport | None = None
        self._sent = sent
        self.trades = Trades(library, sent, self._found, hides_others)
        self.errors = OrderErrors(
            library, sent, self.trades, ask_again, policy.request_timeout, on_unconfirmed=self._tell_unconfirmed
        )
        self._is_current = False
        self._before: tuple[Picture, datetime] | None = None
        self._knew_others = False
        self._is_upstream_alone = False
        self._found_since: set[int] = set()
        self._pending: GapReport | None = None

    @property
    def has_gap(self) -> bool:
        """Whether something was known before, to compare with."""
        return self._before is not None

    def answered(self, name: str) -> None:
        """A start-up request is answered in full."""
        if name == COMPLETED_ORDERS:
            self._sent.knows_ended = True
        self.errors.answered(name)

    def row_unreadable(self, name: str) -> None:
        """What became of an order may have been in it: all that live are looked up."""
        if self._is_current and name in (OPEN_ORDERS, EXECUTIONS):
            self.errors.doubt_all()

    def abandon(self) -> None:
        """The loop is gone: nothing more will be heard of what was sent."""
        self.errors.session_ended()
        if self._sent.session_ended():
            self._tell_unconfirmed()

    def code_received(self, what: Reaction) -> None:
        """The gateway says how its own link is. A code is no evidence of an order."""
        if what in (Reaction.UPSTREAM_LOST, Reaction.UPSTREAM_BACK_DATA_LOST):
            self._upstream_lost(has_forgotten=what is Reaction.UPSTREAM_BACK_DATA_LOST)
        elif what is Reaction.UPSTREAM_BACK:
            self._upstream_kept()

    def before_reset(self, silence: float) -> None:
        """The library is about to forget everything. The gateway had not answered for so many seconds."""
        self._is_upstream_alone = False
        self.report(cut_short=True)
        if self._is_current:
            self._outage_begins(silence)
        self.trades.before_reset()
        self.errors.session_ended()
        if self._sent.session_ended():
            self._tell_unconfirmed()

    def compare(self, cause: str, unknown: tuple[str, ...], outage: int) -> None:
        """Start-up has told all that it will: bring the trades up to date, and note what is to be reported."""
        self.report()
        self._is_current, self._is_upstream_alone = True, False
        knows_orders = set(ORDER_REQUESTS).isdisjoint(unknown)
        if self._before is None:
            return
        before, start = self._before
        self._before = None
        self.trades.settle(knows_orders=knows_orders)
        self.errors.caught_up()
        after, incomplete = self._comparable(before, unknown)
        end = datetime.now(UTC)
        if spans_a_day(start, end, (None, ZoneInfo("America/New_York"))):
            incomplete.append(EARLIER_DAY)
        accounts = tuple(self._client.getAccounts())
        found = compare(before, after, start, end)
        self._pending = GapReport(
            start, end, cause, incomplete=tuple(incomplete), accounts=accounts, outage=outage, **found
        )

    def _comparable(self, before: Picture, unknown: tuple[str, ...]) -> tuple[Picture, list[str]]:
        """The picture now, in so far as it can be held against the one before; and in words, what of it cannot."""
        after = self.trades.picture(before)
        orders = dict(after.orders)
        incomplete = [f"not told: {', '.join(unknown)}"] if unknown else []
        if not self._knew_others and (
            may_be_older := self._of_others(after).keys() - before.orders.keys() - before.ended
        ):
            incomplete.append(_older([orders.pop(perm_id) for perm_id in sorted(may_be_older)]))
        # What was not told has not vanished.
        if not set(ORDER_REQUESTS).isdisjoint(unknown):
            orders = {**before.orders, **orders}
        elif OTHERS in unknown:
            orders = {**self._of_others(before), **orders}
        positions = before.positions if POSITIONS in unknown else after.positions
        return replace(after, orders=orders, positions=positions), incomplete

    def _of_others(self, picture: Picture) -> dict[int, Order]:
        """The live orders of other clients, and of TWS itself."""
        own = self._client.clientId
        return {key: each for key, each in picture.orders.items() if each.is_live and each.client_id != own}

    def report(self, *, cut_short: bool = False) -> None:
        """The outage is over, or the next one begins: tell, if there is anything to tell."""
        if self._pending is None:
            return
        report, self._pending = self._pending, None
        streams = self._subscriptions.after_gap()
        confirmed = [order for order in report.orders_appeared if order.perm_id in self._found_since]
        incomplete = [f"{label} in the outage, still to be filled up" for label in streams.unfilled]
        self.last = replace(
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
        asyncio.get_running_loop().call_soon(self._on_gap, self.last)

    def clear_unconfirmed(self, order_ids: tuple[int, ...]) -> None:
        """The caller has seen for himself what became of these; of all, where none are named."""
        if self._sent.clear(order_ids or [order.order_id for order in self._sent.unconfirmed]):
            self._tell_unconfirmed()

    def _upstream_lost(self, *, has_forgotten: bool) -> None:
        """From now on the gateway does not know what happens, and so neither do we.

        What it ``has_forgotten`` (1101) it will not tell by itself: start-up asks for it.
        """
        if self._is_current:
            self._outage_begins()
            self._is_upstream_alone = True
        if has_forgotten:
            self._is_upstream_alone = False

    def _upstream_kept(self) -> None:
        """The gateway has caught up, and tells what happened meanwhile as it tells anything: there is no gap."""
        if self._is_upstream_alone:
            self._is_upstream_alone = False
            self._is_current = True
            self.trades.keep_up()
            self.errors.caught_up()

    def _outage_begins(self, silence: float = 0.0) -> None:
        self._is_current = False
        self._before = self.trades.picture(), datetime.now(UTC) - timedelta(seconds=silence)
        self._knew_others = self._knows_others()
        self._found_since.clear()
        self.trades.fall_behind()

    def _found(self, perm_id: int) -> None:
        self._found_since.add(perm_id)
        self._tell_unconfirmed()

    def _tell_unconfirmed(self) -> None:
        self._on_unconfirmed(self._sent.unconfirmed)


def _older(orders: list[Order]) -> str:
    told = ", ".join(f"{each.action} {each.quantity:g} {each.symbol}" for each in orders)
    return f"{len(orders)} order{'s'[: len(orders) > 1]} of other clients that may have stood before: {told}"
