"""An ``IB`` object as a connector prepares it, without the connector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ib_async import IB

from ibkr.session.library import Hooks, Library, adopt
from ibkr.wire import encode_fields, frame, version_frame

OPENING = (
    version_frame(176, "20261129 12:00:00 EST"),
    frame(encode_fields(15, 1, "DU1234567")),
    frame(encode_fields(9, 1, 1)),
)


class _Silent:
    """Accepts every call and does nothing."""

    is_wanted = True

    @property
    def incoming(self) -> _Silent:
        return self

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_named: None


def adopted(ib: IB) -> Library:
    """This object, adopted, with hooks that do nothing."""
    return adopt(ib, cast(Hooks, _Silent()))


def reads(ib: IB, *opening: bytes) -> Callable[[bytes], None]:
    """Adopt this object and give it the OPENING, in the running loop. Returns a function that reads a packet."""
    library = adopted(ib)
    reader = library.reader
    reader.begin()

    def take(packet: bytes) -> None:
        reader.feed(packet)
        reader.finish()

    for message in opening:
        take(message)
    client: Any = library.client
    client._numBytesRecv = client._numMsgRecv = 0
    return take
