"""Reads and replaces the ids in a message: the id of a request, an order or a client.

In a text message, an id is found by its position. In protobuf, it is found by its name. The layout has both.
"""

import functools
from collections.abc import Callable

from ibkr.proxy.message_catalog import MessageInfo
from ibkr.wire import protobuf_schema
from ibkr.wire.frame import PROTOBUF_IDS, binary_id
from ibkr.wire.layout import Layout, LayoutError
from ibkr.wire.layout_items import Field, flatten, items_at

ID_FIELDS = ("req_id", "order_id", "parent_id", "client_id")


def read_id(info: MessageInfo, server_version: int, name: str) -> int | None:
    """Return the id of this name in a message; None if the message has no such id, or it cannot be read."""
    if info.layout is None:
        return None
    if info.is_protobuf:
        place = _proto_place(info.layout, name)
        try:
            found = place and protobuf_schema.taken(protobuf_schema.parse(place[0], info.payload), place[1])
        except LayoutError:
            return None
        return found if isinstance(found, int) else None
    at = _text_place(info.layout, server_version, name)
    texts = [] if at is None else info.payload.split(b"\0", at + 1)
    return _to_int(texts[at]) if at is not None and len(texts) > at else None


def replace_ids(info: MessageInfo, body: bytes, server_version: int, change: Callable[[str, int], int]) -> bytes:
    """Return the body with each id replaced by `change(name, number)`; the same body if no id changes."""
    if info.layout is None:
        return body
    changes = {
        name: change(name, number)
        for name in ID_FIELDS
        if (number := read_id(info, server_version, name)) is not None and change(name, number) != number
    }
    if not changes:
        return body
    if info.is_protobuf:
        return _in_protobuf(info, info.layout, changes)
    texts = info.payload.split(b"\0")
    for name, number in changes.items():
        at = _text_place(info.layout, server_version, name)
        assert at is not None
        texts[at] = b"%d" % number
    return body[: len(body) - len(info.payload)] + b"\0".join(texts)


def _in_protobuf(info: MessageInfo, layout: Layout, changes: dict[str, int]) -> bytes:
    assert layout.protobuf is not None
    message = protobuf_schema.parse(layout.protobuf[1], info.payload)
    for name, number in changes.items():
        place = _proto_place(layout, name)
        assert place is not None
        owner = message
        for part in place[1].path:
            owner = getattr(owner, part)
        setattr(owner, place[1].name, number)
    data: bytes = message.SerializeToString()
    return binary_id(PROTOBUF_IDS + info.message_id) + data


@functools.lru_cache(maxsize=4096)
def _text_place(layout: Layout, server_version: int, name: str) -> int | None:
    """Return a field's index after the message id; None if the field or a field before it can be missing."""
    for at, item in enumerate(items_at(layout, server_version)):
        if not isinstance(item, Field):
            return None
        if item.name == name:
            return at
    return None


@functools.cache
def _proto_place(layout: Layout, name: str) -> tuple[str, protobuf_schema.Place] | None:
    field = next((item for item in flatten(layout.fields) if item.name == name), None)
    if layout.protobuf is None or field is None or callable(field.proto):
        return None
    place = protobuf_schema.find(layout.protobuf[1], field.proto or protobuf_schema.proto_name(name))
    return (layout.protobuf[1], place) if place else None


def _to_int(text: bytes) -> int | None:
    digits = text.removeprefix(b"-")
    return int(text) if digits.isdigit() and len(digits) < 19 else None
