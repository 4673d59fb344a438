"""ib_insync 0.9.86, its last release; ib_async is its successor, so only this differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any


class IbInsync:
    """See ``session.backend.Backend``."""

    name = "ib_insync"
    install = "ib_insync==0.9.86"

    def place_of(self, ticker: Any, contract: Any) -> int:
        # Of the very object that the caller has asked with: ib.ticker() and cancelMktData() want the same one.
        return id(ticker.contract)

    def books_of(self, ticker: Any) -> Sequence[Any]:
        return ticker.domBids, ticker.domAsks

    def adapt(self, ib: Any) -> None:
        """The library asks the event-loop policy for a loop, which need not be the one that runs."""
        ib.wrapper._setTimer = _timing(ib.wrapper)


def _timing(wrapper: Any) -> Callable[..., None]:
    """For ``ib.setTimeout()``: tells of a silence of so many seconds."""

    def set_timer(delay: float = 0) -> None:
        silence = (datetime.now(UTC) - wrapper.lastTime).total_seconds()
        delay = delay or wrapper._timeout - silence
        if delay > 0:
            wrapper._timeoutHandle = asyncio.get_event_loop().call_later(delay, set_timer)
        else:
            wrapper.setTimeout(0)
            wrapper.ib.timeoutEvent.emit(silence)

    return set_timer
