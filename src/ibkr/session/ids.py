"""Request and order ids: one sequence over all sessions, none handed out twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Ids:
    """Stands in for the client's ``getReqId``, so that ids can be had while the session is on its way back too.

    ``may_ask``: whether one is; otherwise ``getReqId`` raises ``ConnectionError`` as ever. ``client.reset`` ends each
    attempt and begins the client's sequence anew, so that is where it is made to go on; the gateway's nextValidId and
    ids of the program's own choice only ever raise it.
    """

    def __init__(self, client: Any, may_ask: Callable[[], bool]) -> None:
        self._client = client
        self._may_ask = may_ask
        self._take, self._reset = client.getReqId, client.reset
        client.getReqId = self.take
        client.reset = self._session_ended

    def take(self) -> int:
        """The next id."""
        if self._client.isReady() or not self._may_ask():
            return int(self._take())
        taken = max(1, int(self._client._reqIdSeq))  # 0 is the library's word for none
        self._client._reqIdSeq = taken + 1
        return taken

    def _session_ended(self) -> None:
        upcoming = self._client._reqIdSeq
        self._reset()
        self._client._reqIdSeq = upcoming
