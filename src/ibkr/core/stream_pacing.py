"""IB's pacing limits: how often one stream, and all streams of a kind, may be requested (from IB's documentation)."""

from __future__ import annotations

from collections import deque

from ibkr.core.frozen_record import FrozenRecord


class Pace(FrozenRecord):
    """At least ``apart`` seconds between two requests for one stream; at most ``most`` of a kind in ``window`` seconds.

    ``always``: the limits apply even if the gateway has not complained about pacing.
    """

    apart: float = 0.0
    most: int = 0
    window: float = 600.0
    always: bool = False


_ANY = Pace()
PACES = {
    "tick-by-tick": Pace(15.0, always=True),
    "depth": Pace(5.0),
    # IB allows 60. The other 10 are for the program's own requests.
    "real-time bars": Pace(5.0, 50),
    "historical bars": Pace(15.0, 50),
}


class Pacer:
    """Stores when streams of each kind were requested. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._asked: dict[str, deque[float]] = {}

    def note(self, kind: str, now: float) -> None:
        """Store that a stream of this kind is requested now."""
        most = PACES.get(kind, _ANY).most
        if most:
            self._asked.setdefault(kind, deque(maxlen=most)).append(now)

    def earliest(self, kind: str, asked_at: float, cause: str) -> float:
        """When a stream that was requested at this time, and lost for this cause, may be requested again."""
        pace, asked = PACES.get(kind, _ANY), self._asked.get(kind)
        apart = pace.apart if pace.always or "pacing" in cause.lower() else 0.0
        is_full = asked is not None and len(asked) == pace.most
        return max(asked_at + apart, asked[0] + pace.window if asked and is_full else 0.0)
