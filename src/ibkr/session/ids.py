"""Request and order ids: one sequence over all sessions, none handed out twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Ids:
    """Stands in for the client's ``getReqId``, so that ids can be had while the session is on its way back too.

    ``may_ask``: whether one is; otherwise ``getReqId`` raises ``ConnectionError`` as ever.
    """

    def __init__(self, client: Any, may_ask: Callable[[], bool]) -> None:
        self._client = client
        self._may_ask = may_ask
        self._take = client.getReqId
        self._next = 0
        client.getReqId = self.take

    def begin(self) -> None:
        """An attempt begins: no handler of its first packets gets an id that was used."""
        self._client._reqIdSeq = self._next

    def opened(self) -> None:
        """The gateway has said its nextValidId, which may be one of ours."""
        self._client.updateReqId(self._next)

    def keep(self) -> None:
        """The client is about to forget: go on from here."""
        self._next = max(self._next, self._client._reqIdSeq)

    def take(self) -> int:
        """The next id."""
        if self._client.isReady() or not self._may_ask():
            return int(self._take())
        self.keep()
        taken = max(1, self._next)  # 0 is the library's word for none
        self._client._reqIdSeq = self._next = taken + 1
        return taken
