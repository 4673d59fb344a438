"""Request and order ids: one sequence over all sessions, none handed out twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger("ibkr.session")

_LAST = 2**31 - 2
"""IB's ids are signed 32-bit integers, and the largest one means "no id"."""


class Ids:
    """Stands in for the client's ``getReqId``, so that ids can be had while the session is on its way back too.

    ``may_ask``: whether one is; otherwise ``getReqId`` raises ``ConnectionError`` as ever. ``client.reset`` ends each
    attempt and begins the client's sequence anew, so that is where it is made to go on; the gateway's nextValidId and
    ids of the program's own choice only ever raise it. Ids of orders of others do not count, nor impossible ones.
    """

    def __init__(self, client: Any, may_ask: Callable[[], bool]) -> None:
        self._client = client
        self._may_ask = may_ask
        self._take, self._reset, self._raise = client.getReqId, client.reset, client.updateReqId
        self._is_foreign = False
        client.getReqId = self.take
        client.updateReqId = self._raise_to
        client.reset = self._session_ended

    def take(self) -> int:
        """The next id. Raises ``RuntimeError`` when none is left."""
        if self._client._reqIdSeq > _LAST:
            raise RuntimeError("no order id is left: reset the API order ID sequence in the gateway's API settings")
        if self._client.isReady() or not self._may_ask():
            return int(self._take())
        taken = max(1, int(self._client._reqIdSeq))  # 0 is the library's word for none
        self._client._reqIdSeq = taken + 1
        return taken

    def learn(self, order_id: int) -> None:
        """Our client has used this order id."""
        self._raise_to(order_id + 1)

    @contextmanager
    def foreign(self) -> Iterator[None]:
        """Ignore order ids meanwhile: the library reads a row about another client's order."""
        self._is_foreign = True
        try:
            yield
        finally:
            self._is_foreign = False

    def _raise_to(self, minReqId: int) -> None:
        if self._is_foreign:
            return
        if minReqId > _LAST:
            logger.warning("The gateway tells of order id %s, which is impossible: it is ignored", minReqId - 1)
            return
        self._raise(minReqId)

    def _session_ended(self) -> None:
        upcoming = self._client._reqIdSeq
        self._reset()
        self._client._reqIdSeq = upcoming
