"""Messages as a person reads them, for the log."""

import logging
from collections.abc import Sequence

from ibkr.simulator.requests.reader import printable
from ibkr.wire import data, decode_fields, messages, order_messages, schema
from ibkr.wire.frame import BINARY_IDS, split_id
from ibkr.wire.names import message_name

log = logging.getLogger("ibkr.simulator")

_LONGEST = 160
_PROTOBUF = {
    layout.message_id: layout.protobuf[1]
    for module in (messages, data, order_messages)
    for layout in module.LAYOUTS.values()
    if layout.protobuf
}


def request_text(name: str, fields: Sequence[str]) -> str:
    """A request by its name, with what its fields hold."""
    return _cut(" ".join([name, *filled(fields[1:])]))


def tell_sent(client_id: int, bodies: Sequence[bytes]) -> None:
    """Log each message that is sent, at DEBUG."""
    for body in bodies:
        words = [message_name(body), *filled(_texts(body))]
        log.debug("client %s <- %s", client_id, _cut(" ".join(words)))


def _texts(body: bytes) -> Sequence[str]:
    if body[:1] != b"\0":
        return decode_fields(body)[1:]
    number, is_protobuf, rest = split_id(body, BINARY_IDS)
    return list(schema.texts(schema.parse(_PROTOBUF[number], rest))) if is_protobuf else decode_fields(rest)


def filled(fields: Sequence[str]) -> list[str]:
    """The fields that hold something, as they can be shown."""
    return [printable(text) for text in fields if text]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
