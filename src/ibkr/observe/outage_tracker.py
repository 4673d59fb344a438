"""Distinguishes a new outage from an outage that was already reported. ``core/outage.py`` decides what an outage is."""

from __future__ import annotations

from collections.abc import Callable

from ibkr.core.outage import Outage
from ibkr.core.status import Status


class OutageTracker:
    """Returns each outage when it begins, when more is known about it, and when it ends.

    It ignores an outage that had ended before the first status. ``current`` is the outage that lasts now.
    """

    def __init__(self) -> None:
        self.current: Outage | None = None
        self._latest: Outage | None = None
        self._has_status = False

    def update(self, status: Status) -> Outage | None:
        """Take the next status.

        Returns:
            The outage, if this status begins, changes or ends it (``ended_at`` is set then); otherwise ``None``.
        """
        outage, previous = status.outage, self._latest
        had_status, self._has_status = self._has_status, True
        self._latest = outage
        self.current = None if outage is None or outage.is_over else outage
        if outage is None or outage == previous or (not had_status and outage.is_over):
            return None
        return outage


class OutageNotifier:
    """Calls ``callback`` with each outage twice: when it begins and when it has ended. Call it with each status."""

    def __init__(self, callback: Callable[[Outage], None]) -> None:
        self._callback = callback
        self._tracker = OutageTracker()
        self._last_call = 0, False

    def __call__(self, status: Status) -> None:
        outage = self._tracker.update(status)
        if outage is not None and (outage.number, outage.is_over) != self._last_call:
            self._last_call = outage.number, outage.is_over
            self._callback(outage)
