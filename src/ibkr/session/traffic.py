"""Bytes and messages over all sessions."""

from __future__ import annotations

from typing import Any


class Traffic:
    """Adds up what the library counts in each session; a message costs nothing more for it.

    The counters are those that ``client.connectionStats()`` is made of. ``client.reset`` ends each attempt and sets
    them back, so that is where they are taken.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._before = (0, 0, 0, 0)
        self._reset = client.reset
        client.reset = self._session_ended

    @property
    def so_far(self) -> tuple[int, int, int, int]:
        """Bytes in, bytes out, messages in, messages out."""
        client, conn, before = self._client, self._client.conn, self._before
        return (
            before[0] + client._numBytesRecv,
            before[1] + conn.numBytesSent,
            before[2] + client._numMsgRecv,
            before[3] + conn.numMsgSent,
        )

    def _session_ended(self) -> None:
        self._before = self.so_far
        self._client.conn.numBytesSent = self._client.conn.numMsgSent = 0
        self._reset()
