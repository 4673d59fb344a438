"""What we send, and in how many writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def one_write(conn: Any) -> Iterator[None]:
    """Messages sent meanwhile leave together: a system call each is most of what a start-up costs."""
    messages: list[bytes] = []
    conn.sendMsg = messages.append
    try:
        yield
    finally:
        del conn.sendMsg
        if messages:
            conn.sendMsg(b"".join(messages))
            conn.numMsgSent += len(messages) - 1
