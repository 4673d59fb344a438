"""Encode and decode text fields. Every field is text that ends with a NUL. The first field is the message id.

Sources: ibapi 10.46 `comm.py` (`make_field`, `read_fields`), ib_async 2.1.0 `client.send`.
"""

import math
import re
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

_NON_ASCII = r"[^\x00-\x7f]"
_UNSET_DOUBLE: Final = "1.7976931348623157E308"
_ESCAPE = r"\\(?:u([0-9a-fA-F]{4})|\\)"


def encode_fields(*values: object) -> bytes:
    r"""Return the body of a message with these fields.

    A bool becomes 1 or 0, `None` an empty (unset) field, a number Python's shortest text. A str becomes ASCII, with
    `\uXXXX` for other characters (server versions 153 and later, ENCODE_MSG_ASCII7).

    Raises:
        ValueError: A text contains a NUL, or a number is NaN.
        TypeError: A value has another type.
    """
    encoders = _ENCODERS
    parts = [encoders.get(type(value), _encode_other)(value) for value in values]
    return "\0".join([*parts, ""]).encode("ascii")


def decode_fields(body: bytes) -> list[str]:
    r"""Return the fields of a body, with escapes unchanged.

    Never raises: bytes that are not UTF-8 become `\xNN`, and the last NUL can be missing.
    """
    fields = body.decode("utf-8", errors="backslashreplace").split("\0")
    if not fields[-1]:
        fields.pop()
    return fields


def escape_text(text: str) -> str:
    """Escape a text for a field that clients read with `unicode-escape`, such as a contract's long name."""
    return ascii_text(text.replace("\\", "\\\\"))


def unescape_text(text: str) -> str:
    """Reverse `escape_text`. A pair of surrogates becomes one character."""
    plain = re.sub(_ESCAPE, lambda match: chr(int(match[1], 16)) if match[1] else "\\", text)
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def number_text(value: float, *, whole: bool = False) -> str:
    """Return a number as text: a bool as 1 or 0. With `whole`, a whole number has no fraction."""
    if type(value) is float and not (whole and value.is_integer()):
        return _encode_float(value)
    return str(int(value))


def ascii_text(text: str) -> str:
    r"""Return `text` with `\uXXXX` for characters outside ASCII, as two surrogates outside the BMP, like Java."""
    return text if text.isascii() else re.sub(_NON_ASCII, _java_escape, text)


def _java_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _encode_text(value: str) -> str:
    if "\0" in value:
        raise ValueError(f"a field cannot hold a NUL: {value!r}")
    return ascii_text(value)


def _encode_float(value: float) -> str:
    if math.isfinite(value):
        text = float.__repr__(value)
        if "e" not in text:
            return text
        # TWS writes 0.00005, not 5E-05. Only an unset double has an exponent in its text.
        return _UNSET_DOUBLE if value == sys.float_info.max else f"{Decimal(text):f}"
    if math.isnan(value):
        raise ValueError("a field cannot hold NaN: send None for a value that is not set")
    return "Infinity" if value > 0 else "-Infinity"


def _encode_other(value: object) -> str:
    for kind, encode in _ENCODERS.items():
        if isinstance(value, kind):
            return encode(value)
    raise TypeError(f"a field cannot hold a {type(value).__name__}: {value!r}")


# By exact type, because encoding ticks must be fast. bool comes before int, its base class.
_ENCODERS: dict[type, Callable[[Any], str]] = {
    str: _encode_text,
    bool: lambda value: "1" if value else "0",
    int: int.__repr__,
    float: _encode_float,
    type(None): lambda value: "",
}
