"""What was measured, as it is judged, shown and kept."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """Of many values, in the unit of their own: the middle, and between what the middle half lies."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) < 2:
            return cls(values[0], values[0], values[0], len(values))
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high, len(values))

    def in_words(self, unit: str) -> str:
        digits = ",.0f" if self.median >= 1000 else ".3g"
        middle = "" if self.count == 1 else f" ({self.low:{digits}}-{self.high:{digits}})"
        return f"{self.median:{digits}}{middle} {unit}".rstrip()


@dataclass(frozen=True)
class Figure:
    """One row. ``value``, in ``unit``, is what is held against ``limit``, which is None where nothing is demanded.

    ``name`` is the same in every run, for comparisons. ``ours`` and ``raw`` are in ``measured_in``. ``is_least``: the
    value must not be below the limit.
    """

    name: str
    what: str
    value: float
    unit: str
    ours: Spread
    raw: Spread | None
    measured_in: str
    limit: float | None = None
    is_least: bool = False

    @property
    def holds(self) -> bool | None:
        if self.limit is None:
            return None
        return self.value >= self.limit if self.is_least else self.value <= self.limit

    @property
    def demand(self) -> str:
        if self.limit is None:
            return ""
        return f"{'>=' if self.is_least else '<='} {self.limit:g} {self.unit}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Figure:
        raw = saved["raw"] and Spread(**saved["raw"])
        return cls(**{**saved, "ours": Spread(**saved["ours"]), "raw": raw})


def ratio(
    name: str,
    what: str,
    ours: Sequence[float],
    raw: Sequence[float],
    unit: str,
    limit: float | None = None,
    *,
    is_least: bool = False,
) -> Figure:
    """Ours against the bare library's, median by median."""
    mine, bare = Spread.of(ours), Spread.of(raw)
    return Figure(name, what, mine.median / bare.median, "x", mine, bare, unit, limit, is_least)


def plain(
    name: str,
    what: str,
    values: Sequence[float],
    unit: str,
    limit: float | None = None,
    raw: Sequence[float] | None = None,
    *,
    is_least: bool = False,
) -> Figure:
    """A value that is judged by itself; the bare library's may stand beside it."""
    mine = Spread.of(values)
    return Figure(name, what, mine.median, unit, mine, Spread.of(raw) if raw else None, unit, limit, is_least)
