"""Reports each outage to a sink once. What an outage is, ``core/outage.py`` decides."""

from __future__ import annotations

from ibkr.core.outage import Outage
from ibkr.core.status import Status


class OutageWatch:
    """Gives each outage when it begins, when more is known of it, and when it ends.

    An outage that had ended before the first status is no news. ``current`` is the one under way.
    """

    def __init__(self) -> None:
        self.current: Outage | None = None
        self._latest: Outage | None = None
        self._has_begun = False

    def tell(self, status: Status) -> Outage | None:
        """The outage that this status begins, says more of, or ends (``ended_at`` is set then); None for no news."""
        outage, was_latest = status.outage, self._latest
        has_begun, self._has_begun = self._has_begun, True
        self._latest = outage
        self.current = None if outage is None or outage.is_over else outage
        if outage is None or outage == was_latest or (not has_begun and outage.is_over):
            return None
        return outage
