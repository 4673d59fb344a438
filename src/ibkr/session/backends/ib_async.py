"""ib_async, which the rest of the session layer speaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class IbAsync:
    """See ``session.backend.Backend``."""

    name = "ib_async"
    install = "ib_async>=2.1,<3"

    def place_of(self, ticker: Any, contract: Any) -> int:
        return hash(contract)

    def books_of(self, ticker: Any) -> Sequence[Any]:
        return ticker.domBids, ticker.domAsks, ticker.domBidsDict, ticker.domAsksDict

    def adapt(self, ib: Any) -> None:
        return
