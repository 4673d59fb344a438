"""The gap report: what changed at the broker during an outage, and what could not be checked.

``compare`` compares the last known state with the new one; ``amend_report`` adds late executions.

This file has over 300 lines because both functions use the same snapshots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import fields
from datetime import datetime, timedelta, tzinfo
from typing import Any

from ibkr.core.frozen_record import FrozenRecord, replace
from ibkr.core.order_records import ROUNDING, Execution, Order, Position, SentOrder
from ibkr.core.serialization import mask_json, to_jsonable

_CLOCKS_DIFFER = timedelta(seconds=60)
"""How far the broker's clock may be behind ours. An order too many in the report is less bad than a wrong alarm."""
EARLIER_DAY = (
    "executions and orders that ended on an earlier day: the gateway reports only the current day;"
    " IB's statements have the others"
)

_NOT_IN_JSON = ("accounts", "outage")


class BrokerSnapshot(FrozenRecord):
    """What is known at one moment: orders by permanent id, executions by id, positions by account and contract.

    ``ended``: permanent ids of ended orders.
    """

    orders: Mapping[int, Order]
    executions: Mapping[str, Execution]
    positions: Mapping[tuple[str, int], Position]
    ended: Set[int] = frozenset()


class OrderChange(FrozenRecord):
    """An order that was live before the outage: as it was before and after the outage."""

    before: Order
    after: Order


class PositionChange(FrozenRecord):
    """A position that changed. ``executed``: the change by executions of the gap, negative for sales."""

    account: str
    con_id: int
    symbol: str
    before: float
    after: float
    executed: float
    is_explained: bool


class Backfill(FrozenRecord):
    """Historical bars that were added for the time of the gap."""

    subscription: str
    bars: int


class GapReport(FrozenRecord):
    """What changed at the broker during an outage. Times are aware datetimes.

    ``executions``: each new execution, one time. A correction replaces the execution that it corrects.
    ``orders_changed``: orders that were live before and now have another state or other terms. ``orders_appeared``:
    orders that were not known before. ``orders_vanished``: orders that were live before and now are neither open nor
    completed nor executed. ``orders_confirmed``: orders that were unconfirmed and have been found.
    ``orders_unconfirmed``: orders that are still unconfirmed. ``incomplete``: what could not be checked, in words.
    ``accounts``: the accounts of the login, so that they can be masked. ``outage``: the number of the outage, as in
    ``status.outages``; 0 if there was no outage, for example after a disconnect. ``orders_under_one_id``: live orders
    of this client id that have the same order id. A change or cancel reaches only one of these orders. ``is_amended``:
    this gap was reported before, and late answers or executions are added now.
    """

    start: datetime
    end: datetime
    cause: str
    executions: tuple[Execution, ...] = ()
    orders_changed: tuple[OrderChange, ...] = ()
    orders_appeared: tuple[Order, ...] = ()
    orders_vanished: tuple[Order, ...] = ()
    orders_confirmed: tuple[Order, ...] = ()
    orders_unconfirmed: tuple[SentOrder, ...] = ()
    positions: tuple[PositionChange, ...] = ()
    subscriptions_restored: tuple[str, ...] = ()
    subscriptions_refused: tuple[str, ...] = ()
    bars: tuple[Backfill, ...] = ()
    incomplete: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    outage: int = 0
    orders_under_one_id: tuple[Order, ...] = ()
    is_amended: bool = False

    @property
    def complete(self) -> bool:
        """Whether everything could be checked."""
        return not self.incomplete

    @property
    def needs_a_look(self) -> bool:
        """Whether a person should look at the report."""
        unexplained = any(not change.is_explained for change in self.positions)
        doubtful = self.orders_vanished or self.orders_unconfirmed or self.orders_under_one_id
        return bool(doubtful or unexplained or not self.complete)

    def to_dict(self, *, show_accounts: bool = False) -> dict[str, Any]:
        """The report as JSON types. Account ids are masked unless ``show_accounts``."""
        data = {
            each.name: to_jsonable(getattr(self, each.name)) for each in fields(self) if each.name not in _NOT_IN_JSON
        }
        data |= {"seconds": round(self.seconds, 3), "complete": self.complete}
        return data if show_accounts else mask_json(data, self.accounts)

    @property
    def seconds(self) -> float:
        """Duration of the outage."""
        return (self.end - self.start).total_seconds()

    @property
    def summary(self) -> str:
        """The result in one line."""
        counts = (
            (self.executions, "missed", "execution"),
            (self.orders_changed, "changed", "order"),
            (self.orders_appeared, "new", "order"),
            (self.orders_vanished, "vanished", "order"),
            (self.orders_confirmed, "found", "order"),
            (self.orders_unconfirmed, "unconfirmed", "order"),
            (self.positions, "changed", "position"),
            (tuple(change for change in self.positions if not change.is_explained), "unexplained", "position"),
            (self.subscriptions_refused, "refused", "subscription"),
        )
        parts = [f"{len(found)} {word} {what}{'s'[: len(found) > 1]}" for found, word, what in counts if found]
        if self.orders_under_one_id:
            parts.append(f"{len(self.orders_under_one_id)} live orders that share an order id")
        changes = ", ".join(parts) or "no changes found"
        left_out = f"; could not check: {'; '.join(self.incomplete)}" if self.incomplete else ""
        return f"{changes}{left_out}"

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.cause}): {self.summary}"


def compare(before: BrokerSnapshot, after: BrokerSnapshot, start: datetime, end: datetime) -> dict[str, Any]:
    """Fields of the report that follow from the two snapshots, by name.

    An order that ended before ``start`` is not part of the gap, even if nobody reported its end. The broker updates a
    position some time after the executions. So in both snapshots, the effect of the latest executions may be missing.
    """
    executions = _missed(before.executions, after.executions)
    was_live = [order for order in before.orders.values() if order.is_live]
    return {
        "executions": tuple(sorted((now for _, now in executions), key=lambda each: each.time)),
        "orders_changed": tuple(
            OrderChange(order, after.orders[order.perm_id])
            for order in before.orders.values()
            if _may_change(order) and order.perm_id in after.orders and order.differs(after.orders[order.perm_id])
        ),
        "orders_appeared": tuple(
            order
            for perm_id, order in after.orders.items()
            if perm_id not in before.orders
            and perm_id not in before.ended
            and (order.ended_at is None or order.ended_at >= start - _CLOCKS_DIFFER)
        ),
        "orders_vanished": tuple(order for order in was_live if order.perm_id not in after.orders),
        "positions": tuple(
            _positions_changed(
                before.positions,
                after.positions,
                executions,
                _not_counted(before.executions.values(), start),
                _not_counted((now for _, now in executions), end),
            )
        ),
    }


def amend_report(report: GapReport, before: BrokerSnapshot, after: BrokerSnapshot, late: list[Execution]) -> GapReport:
    """Return the report with the executions that came after the report was made.

    The program may have traded since then, so only orders and positions that the late executions explain are changed.

    Args:
        report: The report so far.
        before: The last known state before the outage.
        after: What is known now.
        late: The executions that may be new.
    """
    known = {**before.executions, **{each.exec_id: each for each in report.executions}}
    news = _missed(known, {each.exec_id: each for each in late})
    if not news:
        return report
    changed = {change.before.perm_id: change for change in report.orders_changed}
    for _, now in news:
        then, order = before.orders.get(now.perm_id), after.orders.get(now.perm_id)
        if then is not None and order is not None and _may_change(then) and then.differs(order):
            changed[now.perm_id] = OrderChange(then, order)
    corrected = {old.exec_id for old, _ in news if old is not None}
    executions = [each for each in report.executions if each.exec_id not in corrected]
    executions = sorted([*executions, *(now for _, now in news)], key=lambda each: each.time)
    return replace(
        report,
        executions=tuple(executions),
        orders_changed=tuple(changed.values()),
        positions=tuple(_explained(report.positions, before, after, _sums(news))),
        is_amended=True,
    )


def add_late_endings(report: GapReport, before: BrokerSnapshot, after: BrokerSnapshot) -> dict[str, Any]:
    """Fields of the report that change, because the broker reported later which orders have ended.

    Orders that ended after the report are not included, because the program receives the events of these orders.
    """
    changed = {change.before.perm_id: change for change in report.orders_changed}
    was_live = [order for order in before.orders.values() if order.is_live]
    latest_end = report.end + _CLOCKS_DIFFER
    for order in filter(_may_change, before.orders.values()):
        now = after.orders.get(order.perm_id)
        if now is None or now.is_live or not order.differs(now):
            continue
        if now.ended_at is None or now.ended_at <= latest_end:
            changed[order.perm_id] = OrderChange(order, now)
    return {
        "orders_changed": tuple(changed.values()),
        "orders_vanished": tuple(order for order in was_live if order.perm_id not in after.orders),
    }


def _may_change(order: Order) -> bool:
    """Whether this order has not ended. IB may still execute an inactive order, which is not live for the library."""
    return order.is_live or order.status == "Inactive"


def _explained(
    changes: Iterable[PositionChange],
    before: BrokerSnapshot,
    after: BrokerSnapshot,
    executed: dict[tuple[str, int], float],
) -> Iterator[PositionChange]:
    """The changes of positions, with the late executions included."""
    left = dict(executed)
    for change in changes:
        by_fills = change.executed + left.pop((change.account, change.con_id), 0.0)
        is_explained = change.is_explained or abs(change.before + by_fills - change.after) < ROUNDING
        yield replace(change, executed=by_fills, is_explained=is_explained)
    for key, by_fills in left.items():
        then, now = (places[key].quantity if key in places else 0.0 for places in (before.positions, after.positions))
        held = after.positions.get(key) or before.positions.get(key)
        if by_fills and abs(then + by_fills - now) < ROUNDING:
            yield PositionChange(*key, held.symbol if held else "", then, now, by_fills, is_explained=True)


def _sums(executions: Iterable[tuple[Execution | None, Execution]]) -> dict[tuple[str, int], float]:
    """The sum of executions for each position. For a correction, only the difference is added."""
    executed: dict[tuple[str, int], float] = {}
    for corrected, now in executions:
        change = now.signed - (corrected.signed if corrected else 0.0)
        executed[now.account, now.con_id] = executed.get((now.account, now.con_id), 0.0) + change
    return executed


def orders_sharing_id(orders: Iterable[Order], client_id: int) -> tuple[Order, ...]:
    """Live orders of this client whose order id another live order has, too."""
    own = [each for each in orders if each.is_live and each.client_id == client_id and each.order_id]
    times = Counter(each.order_id for each in own)
    return tuple(sorted((each for each in own if times[each.order_id] > 1), key=lambda each: each.order_id))


def spans_a_day(start: datetime, end: datetime, zones: Iterable[tzinfo | None]) -> bool:
    """Whether a day ended between these times in one of the time zones. ``None``: this computer's zone."""
    return any(start.astimezone(zone).date() != end.astimezone(zone).date() for zone in zones)


def latest(executions: Iterable[Execution]) -> dict[str, Execution]:
    """The last correction of each execution, by the part of the id that corrections share."""
    found: dict[str, Execution] = {}
    for each in executions:
        root, number = revision(each.exec_id)
        if root not in found or number > revision(found[root].exec_id)[1]:
            found[root] = each
    return found


def revision(exec_id: str) -> tuple[str, int]:
    """The part of the id that corrections share, and the correction's number, which is after the last dot."""
    root, _, number = exec_id.rpartition(".")
    return (root, int(number)) if root and number.isdecimal() else (exec_id, 0)


def _missed(
    before: Mapping[str, Execution], after: Mapping[str, Execution]
) -> list[tuple[Execution | None, Execution]]:
    """Return each new execution, with the known execution that it corrects, or ``None``."""
    known = latest(before.values())
    return [
        (known.get(root), now)
        for root, now in latest(after.values()).items()
        if now.exec_id not in before and (root not in known or revision(now.exec_id) > revision(known[root].exec_id))
    ]


def _positions_changed(
    before: Mapping[tuple[str, int], Position],
    after: Mapping[tuple[str, int], Position],
    executions: Iterable[tuple[Execution | None, Execution]],
    late_then: Mapping[tuple[str, int], list[float]],
    late_now: Mapping[tuple[str, int], list[float]],
) -> Iterator[PositionChange]:
    executed = _sums(executions)
    for key in dict.fromkeys((*before, *after, *executed)):
        held = after.get(key) or before.get(key)
        then, now_ = (places[key].quantity if key in places else 0.0 for places in (before, after))
        by_fills = executed.get(key, 0.0)
        is_explained = any(
            abs(then + earlier + by_fills - later - now_) < ROUNDING
            for earlier in late_then.get(key, [0.0])
            for later in late_now.get(key, [0.0])
        )
        if then != now_ or not is_explained:
            yield PositionChange(*key, held.symbol if held else "", then, now_, by_fills, is_explained)


def _not_counted(executions: Iterable[Execution], moment: datetime) -> dict[tuple[str, int], list[float]]:
    """Return the sums that a position may not include yet: of no execution, of the last one, of the last two ..."""
    found: dict[tuple[str, int], list[float]] = {}
    recent = [each for each in executions if each.time >= moment - _CLOCKS_DIFFER]
    # Times have whole seconds. If executions have the same second, the execution that is later in the list comes first.
    for each in sorted(reversed(recent), key=lambda each: each.time, reverse=True):
        sums = found.setdefault((each.account, each.con_id), [0.0])
        sums.append(sums[-1] + each.signed)
    return found
