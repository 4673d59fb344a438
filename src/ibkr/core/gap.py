"""The gap report: what was known before an outage against what is, and what of it could not be known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import fields
from datetime import datetime, timedelta, tzinfo
from typing import Any

from ibkr.core.orders import Execution, Order, Position, SentOrder
from ibkr.core.plain import masked, plain
from ibkr.core.value import Value

_ROUNDING = 1e-6
_CLOCKS_DIFFER = timedelta(seconds=60)
"""The broker's clock may be so far behind ours: rather tell of an order too many, and blame no position too soon."""
EARLIER_DAY = (
    "executions and orders that ended on an earlier day: the gateway tells those of its running day alone;"
    " IB's statements have the others"
)

_NOT_TOLD = ("accounts", "outage")


class Picture(Value):
    """What is known of the broker at one moment: orders by permanent id, executions by id, positions by contract.

    ``ended``: orders that are over, of which no more than their ids matters.
    """

    orders: Mapping[int, Order]
    executions: Mapping[str, Execution]
    positions: Mapping[tuple[str, int], Position]
    ended: Set[int] = frozenset()


class OrderChange(Value):
    """An order that was live before the outage, then and now."""

    before: Order
    after: Order


class PositionChange(Value):
    """A position that is not what it was. ``executed``: what the executions of the gap account for, signed."""

    account: str
    con_id: int
    symbol: str
    before: float
    after: float
    executed: float
    is_explained: bool


class Backfill(Value):
    """Historical bars that were filled up over the gap: so many new ones."""

    subscription: str
    bars: int


class GapReport(Value):
    """What changed at the broker during an outage. Times are aware datetimes.

    ``executions``: those that the program had not heard of, each once, a correction in place of what it corrects.
    ``orders_changed``: live before, and in another state or on other terms now; ``orders_appeared``: not known before;
    ``orders_vanished``: live before, and now neither open nor completed nor executed; ``orders_confirmed``: had been
    unconfirmed and were found; ``orders_unconfirmed``: still are. ``incomplete``: what could not be known, in words.
    ``accounts``: those of the login, so that they can be masked in words. ``outage``: the number of the outage that the
    gap is part of, as ``status.outages`` counts them; 0 if the program had disconnected.
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

    @property
    def complete(self) -> bool:
        """Whether all of it could be known."""
        return not self.incomplete

    @property
    def needs_a_look(self) -> bool:
        """Whether it tells of something that a person should look at."""
        unexplained = any(not change.is_explained for change in self.positions)
        return bool(self.orders_vanished or self.orders_unconfirmed or unexplained or not self.complete)

    def to_dict(self, *, show_accounts: bool = False) -> dict[str, Any]:
        """The report in JSON's types; account ids are masked unless ``show_accounts``."""
        told = {each.name: plain(getattr(self, each.name)) for each in fields(self) if each.name not in _NOT_TOLD}
        told |= {"seconds": round(self.seconds, 3), "complete": self.complete}
        return told if show_accounts else masked(told, self.accounts)

    @property
    def seconds(self) -> float:
        """How long the outage was."""
        return (self.end - self.start).total_seconds()

    @property
    def summary(self) -> str:
        """What was found, in one line."""
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
        told = ", ".join(parts) or "nothing changed"
        left_out = f"; not known: {'; '.join(self.incomplete)}" if self.incomplete else ""
        return f"{told}{left_out}"

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.cause}): {self.summary}"


def compare(before: Picture, after: Picture, start: datetime, end: datetime) -> dict[str, Any]:
    """What of the report follows from the two pictures, by the names of its fields.

    An order that ended before ``start`` was no part of the gap, even if nobody had told of it. Positions follow their
    executions after a moment, so that each picture may have them without the latest ones.
    """
    executions = _missed(before.executions, after.executions)
    was_live = [order for order in before.orders.values() if order.is_live]
    return {
        "executions": tuple(sorted((now for _, now in executions), key=lambda each: each.time)),
        "orders_changed": tuple(
            OrderChange(order, after.orders[order.perm_id])
            for order in was_live
            if order.perm_id in after.orders and order.differs(after.orders[order.perm_id])
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


def spans_a_day(start: datetime, end: datetime, zones: Iterable[tzinfo | None]) -> bool:
    """Whether a day ended in between in one of these zones; None is this machine's."""
    return any(start.astimezone(zone).date() != end.astimezone(zone).date() for zone in zones)


def latest(executions: Iterable[Execution]) -> dict[str, Execution]:
    """By what a correction shares with what it corrects: the last of each."""
    found: dict[str, Execution] = {}
    for each in executions:
        root, number = revision(each.exec_id)
        if root not in found or number > revision(found[root].exec_id)[1]:
            found[root] = each
    return found


def revision(exec_id: str) -> tuple[str, int]:
    """What is the same in a correction, and its number: IB counts up after the last full stop of the id."""
    root, _, number = exec_id.rpartition(".")
    return (root, int(number)) if root and number.isdecimal() else (exec_id, 0)


def _missed(
    before: Mapping[str, Execution], after: Mapping[str, Execution]
) -> list[tuple[Execution | None, Execution]]:
    """Each new execution, with what it corrects of what was known."""
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
    executed: dict[tuple[str, int], float] = {}
    for corrected, now in executions:
        change = now.signed - (corrected.signed if corrected else 0.0)
        executed[now.account, now.con_id] = executed.get((now.account, now.con_id), 0.0) + change
    for key in dict.fromkeys((*before, *after, *executed)):
        held = after.get(key) or before.get(key)
        then, now_ = (places[key].quantity if key in places else 0.0 for places in (before, after))
        by_fills = executed.get(key, 0.0)
        is_explained = any(
            abs(then + earlier + by_fills - later - now_) < _ROUNDING
            for earlier in late_then.get(key, [0.0])
            for later in late_now.get(key, [0.0])
        )
        if then != now_ or not is_explained:
            yield PositionChange(*key, held.symbol if held else "", then, now_, by_fills, is_explained)


def _not_counted(executions: Iterable[Execution], moment: datetime) -> dict[tuple[str, int], list[float]]:
    """What a position may lack at this moment: nothing, the last execution, the last two ..."""
    found: dict[tuple[str, int], list[float]] = {}
    recent = [each for each in executions if each.time >= moment - _CLOCKS_DIFFER]
    for each in sorted(recent, key=lambda each: each.time, reverse=True):
        sums = found.setdefault((each.account, each.con_id), [0.0])
        sums.append(sums[-1] + each.signed)
    return found
