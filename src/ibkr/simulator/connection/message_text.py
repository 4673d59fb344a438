"""Requests and messages as readable text, for the log."""

import logging
from collections.abc import Sequence

from ibkr.simulator.requests.field_reader import printable
from ibkr.wire import data_messages, decode_fields, messages, order_messages, protobuf_schema
from ibkr.wire.frame import BINARY_IDS, split_id
from ibkr.wire.message_names import message_name

log = logging.getLogger("ibkr.simulator")

_LONGEST = 160
_PROTOBUF = {
    layout.message_id: layout.protobuf[1]
    for module in (messages, data_messages, order_messages)
    for layout in module.LAYOUTS.values()
    if layout.protobuf
}


def request_text(name: str, fields: Sequence[str]) -> str:
    """Return the name of a request and its fields that are not empty."""
    return _shorten(" ".join([name, *non_empty(fields[1:])]))


def log_sent(client_id: int, bodies: Sequence[bytes]) -> None:
    """Log each sent message, at DEBUG."""
    for body in bodies:
        words = [message_name(body), *non_empty(_texts(body))]
        log.debug("client %s <- %s", client_id, _shorten(" ".join(words)))


def _texts(body: bytes) -> Sequence[str]:
    if body[:1] != b"\0":
        return decode_fields(body)[1:]
    number, is_protobuf, rest = split_id(body, BINARY_IDS)
    return (
        list(protobuf_schema.texts(protobuf_schema.parse(_PROTOBUF[number], rest)))
        if is_protobuf
        else decode_fields(rest)
    )


def non_empty(fields: Sequence[str]) -> list[str]:
    """Return the fields that are not empty, as printable text."""
    return [printable(text) for text in fields if text]


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
