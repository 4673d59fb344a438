"""Describes how a message is written: whether its fields fit the layout, which are set, and in which format."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ibkr.proxy.message_catalog import identify_message
from ibkr.wire import protobuf_schema
from ibkr.wire.layout import Layout, field_value
from ibkr.wire.layout_items import Field, LayoutError

_UNSET = {
    "2147483647": "the unset integer 2147483647",
    "9223372036854775807": "the unset long 9223372036854775807",
    "1.7976931348623157E308": "the unset double 1.7976931348623157E308",
    "1.7976931348623157e+308": "the unset double 1.7976931348623157e+308",
}
_LITERALS = ("0", "?", "None")
EMPTY = "empty"
ZERO = "'0'"
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?")
_DATE = re.compile(r"[0-9]{8}|[0-9]{2}:[0-9]{2}|[0-9]{4}-[0-9]{2}")
_LONGEST = 60


class MessageFormat(NamedTuple):
    """How a message is written. `misfit` says what does not fit its layout; it is empty if everything fits."""

    name: str
    misfit: str
    formats: dict[str, set[str]]


def describe_format(body: bytes, server_version: int, *, is_request: bool = False) -> MessageFormat:
    """Return the format of a message. Fields are named by their paths, such as `bars.date`."""
    info = identify_message(body, server_version, is_request=is_request)
    if info.layout is None:
        return MessageFormat(info.name, "unknown message", {})
    formats: dict[str, set[str]] = {}
    try:
        if info.is_protobuf:
            assert info.layout.protobuf is not None
            _walk_protobuf(protobuf_schema.parse(info.layout.protobuf[1], info.payload), "", formats)
            return MessageFormat(info.name, "", formats)
    except LayoutError:
        return MessageFormat(info.name, "invalid protobuf message", {})
    texts = info.payload.decode("utf-8", "backslashreplace").split("\0")
    if not texts[-1]:
        texts.pop()
    return MessageFormat(info.name, _parse_text(info.layout, server_version, texts, formats), formats)


def _parse_text(layout: Layout, server_version: int, texts: list[str], formats: dict[str, set[str]]) -> str:
    source = iter(texts)
    taken: list[Field] = []

    def take(field: Field) -> object:
        text = next(source)
        taken.append(field)
        formats.setdefault(field.name, set()).add(field_format(field.kind, text))
        return field_value(field, text)

    try:
        layout.read(server_version, take)
    except StopIteration:
        return f"only {len(texts)} fields, too few for the layout"
    except (ValueError, OverflowError):
        return f"field {taken[-1].name} is not a valid {taken[-1].kind}"
    more = list(source)
    return f"{len(more)} more fields than the layout has" if more else ""


def _walk_protobuf(message: Any, path: str, formats: dict[str, set[str]]) -> None:
    for field, value in message.ListFields():
        known = protobuf_schema.schema()[message.DESCRIPTOR.name][field.name]
        name = f"{path}{field.name}"
        if known.is_map:
            formats.setdefault(name, set()).add("set")
            continue
        for item in value if known.is_repeated else [value]:
            if known.type in protobuf_schema.schema():
                _walk_protobuf(item, f"{name}.", formats)
            else:
                kind = {"string": "text", "double": "number"}.get(known.type, "int")
                formats.setdefault(name, set()).add(field_format(kind, item if isinstance(item, str) else repr(item)))


def field_format(kind: str, text: str) -> str:
    """Return whether a field is set and in which format, but not its value."""
    if text == "":
        return EMPTY
    if text in _UNSET:
        return _UNSET[text]
    match kind:
        case "bool":
            return "a flag" if text in ("0", "1") else "no flag"
        case "int":
            return "a number"
        case "number":
            return "a number"
        case "float":
            return _float_format(text)
        case "size":
            return "needless fraction" if re.fullmatch(r"-?[0-9]+\.0*", text) else _size_format(text)
    return _text_format(text)


def _float_format(text: str) -> str:
    if "e" in text.lower():
        return "with an exponent"
    return "with a point" if "." in text else "without a point"


def _size_format(text: str) -> str:
    return "with an exponent" if "e" in text.lower() else "a number"


def _text_format(text: str) -> str:
    if text in _LITERALS:
        return f"'{text}'"
    if _NUMBER.fullmatch(text) and not _DATE.fullmatch(text):
        return "a number"
    if _DATE.search(text) and len(text) <= _LONGEST:
        return f"like {skeleton(text)}"
    return "a text"


def skeleton(text: str) -> str:
    """Return the format of a text: 9 for each digit and A for each word."""
    return re.sub(r"[^\W\d_]+", "A", re.sub(r"\d", "9", text))


def missing_formats(recorded: set[str], simulated: set[str]) -> Iterator[str]:
    """Yield the formats of a recorded field that the simulated field lacks. 0 counts as a number."""
    for found in sorted(recorded - simulated):
        if found == ZERO and "a number" in simulated:
            continue
        if found == "a number" and ZERO in simulated:
            continue
        yield found
