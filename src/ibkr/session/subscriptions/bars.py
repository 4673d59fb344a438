"""Historical bars that are kept up to date, after a gap: the same list, nothing doubled, nothing missing."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, TypeAlias

from ibkr.core.facts import Key
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
_LONGEST = 365


class _Backfill(list["BarData"]):
    """What the gateway gives again goes here first."""


def prepare(library: Library, key: Key, sub: Subscription) -> Arguments:
    """Make ready for the bars; what the caller waits for in person goes straight into his list."""
    arguments, wrapper = sub.arguments, library.wrapper
    if sub.obj is None or key in wrapper.futures:
        return arguments
    wrapper.results[key] = _Backfill()
    if sub.lost_at is None:
        return arguments
    return {**arguments, "durationStr": long_enough(arguments["durationStr"], time.time() - sub.lost_at)}


def answered(library: Library, key: Key, sub: Subscription) -> None:
    """Join what came, once all of it has."""
    came = library.wrapper.results.get(key)
    if not isinstance(came, _Backfill) or not came:
        return
    del library.wrapper.results[key]
    sub.lost_at = None
    bars = sub.obj
    sub.filled = join(bars, came)
    has_new = sub.filled > 0
    library.ib.barUpdateEvent.emit(bars, has_new)
    bars.updateEvent.emit(bars, has_new)


def is_awaited(wrapper: WrapperOverrides, key: Key) -> bool:
    """Whether the bars of a gap have not come yet."""
    return isinstance(wrapper.results.get(key), _Backfill)


def join(bars: Bars, came: Bars) -> int:
    """Keep the bars there are, replace the last one, which was not whole, add what follows; how many do."""
    if not bars:
        bars.extend(came)
        return len(came)
    last = bars[-1].date
    fresh = [bar for bar in came if bar.date >= last]
    if fresh and fresh[0].date == last:
        bars[-1] = fresh.pop(0)
    bars.extend(fresh)
    return len(fresh)


def long_enough(duration: str, gap: float) -> str:
    """The duration, or a longer one that reaches over a gap of so many seconds.

    "1 D" is the trading day that runs: a gap that may have begun on an earlier one needs one day more.
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
    return f"{days} D" if days <= _LONGEST else duration
