"""Measured figures: how they are judged, shown and stored."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Spread:
    """The median of many values and the range of their middle half, in the unit of the values."""

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
    """One row of the table.

    ``value``, in ``unit``, is compared with ``limit``; ``limit`` is None if there is no requirement. ``name`` is the
    same in every run, so that runs can be compared. The unit of ``ours`` and ``raw`` is ``measured_in``. If
    ``is_least`` is true, the limit is a minimum, otherwise a maximum.
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
    """A figure that is the ratio of the two medians."""
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
    """A figure that has its own limit and is not a ratio. The bare library's value can be shown next to it."""
    mine = Spread.of(values)
    return Figure(name, what, mine.median, unit, mine, Spread.of(raw) if raw else None, unit, limit, is_least)
