"""Answer times: how long the gateway waits before it answers a request."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ibkr.simulator.faults.fault_registry import one_of
from ibkr.simulator.requests.request_names import REQUESTS

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_RANGE = re.compile(rf"({_NUMBER})(?:-({_NUMBER}))?(ms|s)")
_EXAMPLE = "write 20-300ms, or 20-300ms,reqHistoricalData=0.5-2s"


@dataclass(frozen=True, slots=True)
class Range:
    """The shortest and the longest answer time, in seconds."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Answer times by name of request. `default` is for all others; `None` means no delay."""

    default: Range | None = None
    by_request: Mapping[str, Range] = field(default_factory=dict)

    def draw(self, request: str, rng: random.Random) -> float:
        """Return the seconds to wait before an answer to this request. Short times are more likely."""
        found = self.by_request.get(request, self.default)
        return rng.triangular(found.low, found.high, found.low) if found else 0.0


NO_LATENCY = Latency()


def parse_latency(text: str | None) -> Latency:
    """Parse answer times such as `50ms`, `20-300ms` or `20-300ms,reqHistoricalData=0.5-2s`.

    Raises:
        ValueError: The text does not have this form, or names an unknown request.
    """
    if text is None:
        return NO_LATENCY
    default, by_request = None, {}
    for part in str(text).split(","):
        name, equals, value = part.strip().rpartition("=")
        if not equals:
            default = _range(value)
        elif problem := one_of(REQUESTS, "request")(name):
            raise ValueError(f"latency: {problem}")
        else:
            by_request[name] = _range(value)
    return Latency(default, by_request)


def _range(text: str) -> Range:
    match = _RANGE.fullmatch(text)
    unit = 0.001 if match and match[3] == "ms" else 1.0
    if not match:
        is_unitless = re.fullmatch(rf"{_NUMBER}(?:-{_NUMBER})?", text)
        problem = "has no unit (ms or s)" if is_unitless else "is not a time or a range of times"
        raise ValueError(f"latency: {text!r} {problem}; {_EXAMPLE}")
    low = float(match[1]) * unit
    high = float(match[2]) * unit if match[2] else low
    if high < low:
        raise ValueError(f"latency: {text!r}: the first time is longer than the second; {_EXAMPLE}")
    return Range(low, high)
