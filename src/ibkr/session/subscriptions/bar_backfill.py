"""Fills the gap in historical bars that are kept up to date: in the same list, without duplicates or holes."""

from __future__ import annotations

import datetime as dt
import math
import time
from typing import TYPE_CHECKING, TypeAlias

from ibkr.core.events import Key
from ibkr.session.library import Arguments, Library
from ibkr.session.library.wrapper import WrapperOverrides
from ibkr.session.subscriptions.subscription import Subscription

if TYPE_CHECKING:
    from ib_async import BarData

    Bars: TypeAlias = list[BarData]

_DAY = 86400
_HOUR = 3600
_MARGIN = 60
_UNITS = {"S": 1, "D": _DAY, "W": 7 * _DAY, "M": 30 * _DAY, "Y": 365 * _DAY}
_MOST_DAYS = 365


class _Backfill(list["BarData"]):
    """Receives the bars that the gateway sends again."""


def prepare(library: Library, key: Key, sub: Subscription) -> Arguments:
    """Prepare the list for the bars. Bars that the caller awaits go directly into the caller's list."""
    arguments, wrapper = sub.arguments, library.wrapper
    if sub.obj is None or key in wrapper.futures:
        return arguments
    wrapper.results[key] = _Backfill()
    if sub.obj and sub.last_date is None:
        sub.last_date = sub.obj[-1].date
    if sub.lost_at is None:
        return arguments
    return {**arguments, "durationStr": extended_duration(arguments["durationStr"], time.time() - sub.lost_at)}


def merge(library: Library, key: Key, sub: Subscription) -> None:
    """Merge the bars into the caller's list when all have arrived."""
    received = library.wrapper.results.get(key)
    if not isinstance(received, _Backfill) or not received:
        return
    del library.wrapper.results[key]
    bars, last = sub.obj, sub.last_date
    sub.lost_at = sub.last_date = None
    sub.filled = merge_bars(bars, received, last)
    has_new = sub.filled > 0
    library.ib.barUpdateEvent.emit(bars, has_new)
    bars.updateEvent.emit(bars, has_new)


def is_pending(wrapper: WrapperOverrides, key: Key) -> bool:
    """Whether the bars of a gap have not arrived yet."""
    return isinstance(wrapper.results.get(key), _Backfill)


def merge_bars(bars: Bars, received: Bars, last: dt.date | None) -> int:
    """Merge the received bars into the list. Returns how many were added.

    ``last`` is the date of the last bar before the gap. This bar is replaced, because it was not complete. After it,
    the list may already have live bars.
    """
    first = len(bars)
    while first and last is not None and bars[first - 1].date >= last:
        first -= 1
    by_date = {bar.date: bar for bar in bars[first:]}
    added = -len(by_date)
    by_date.update((bar.date, bar) for bar in received if last is None or bar.date >= last)
    bars[first:] = [by_date[date] for date in sorted(by_date)]
    return added + len(by_date)


def extended_duration(duration: str, gap: float) -> str:
    """The duration, or a longer one that covers a gap of this many seconds.

    "1 D" is the current trading day. If the gap may have begun on an earlier day, one more day is needed.
    """
    number, _, unit = duration.strip().partition(" ")
    if not number.isdigit() or unit not in _UNITS:
        return duration
    reach = int(number) * _UNITS[unit]
    days = math.ceil(gap / _DAY) + 1
    if unit == "S":
        needed = math.ceil(gap) + _MARGIN
        if needed <= reach:
            return duration
        if needed <= _DAY:
            return f"{needed} S"
    elif gap <= _HOUR or days * _DAY <= reach:
        return duration
    return f"{days} D" if days <= _MOST_DAYS else duration
