"""The field codec: values written as TWS writes them, texts read unchanged."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.wire import decode_fields, encode_fields, escape_text, unescape_text

ascii_text = st.text(st.characters(min_codepoint=1, max_codepoint=127))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "1"),
        (False, "0"),
        (None, ""),
        ("", ""),
        (-1, "-1"),
        (2147483647, "2147483647"),
        (0.0, "0.0"),
        (0.01, "0.01"),
        (0.00005, "0.00005"),
        (-0.00001234, "-0.00001234"),
        (1e-8, "0.00000001"),
        (1e16, "10000000000000000"),
        (sys.float_info.max, "1.7976931348623157E308"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ("Börse", "B\\u00f6rse"),
        ("中", "\\u4e2d"),
        ("\U0001f600", "\\ud83d\\ude00"),
        ("C:\\path", "C:\\path"),
    ],
)
def test_values_are_written_as_tws_writes_them(value: object, text: str) -> None:
    assert encode_fields(value) == text.encode("ascii") + b"\0"


def test_every_field_is_ended_by_a_nul() -> None:
    assert encode_fields(71, 2, 7, "") == b"71\x002\x007\x00\x00"
    assert encode_fields() == b""


@pytest.mark.parametrize(("value", "error"), [("a\0b", ValueError), (math.nan, ValueError), (b"x", TypeError)])
def test_what_cannot_be_a_field_is_refused(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="cannot hold"):
        encode_fields(value)


@given(st.lists(ascii_text, min_size=1))
def test_ascii_texts_round_trip(texts: list[str]) -> None:
    assert decode_fields(encode_fields(*texts)) == texts


@given(st.floats(allow_nan=False), st.integers())
def test_numbers_round_trip(real: float, whole: int) -> None:
    first, second = decode_fields(encode_fields(real, whole))
    assert (float(first), int(second)) == (real, whole)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_has_an_exponent(real: float) -> None:
    if abs(real) < sys.float_info.max:
        assert b"e" not in encode_fields(real).lower()


@given(st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"])))
def test_escaped_texts_round_trip_whatever_they_hold(text: str) -> None:
    (field,) = decode_fields(encode_fields(escape_text(text)))
    assert field.isascii()
    assert unescape_text(field) == text


@given(st.text(st.characters(min_codepoint=1, max_codepoint=0xFFFF, exclude_categories=["Cs"])))
def test_clients_that_decode_unicode_escape_get_the_text(text: str) -> None:
    assert escape_text(text).encode().decode("unicode-escape") == text


@given(st.binary())
def test_decoding_is_total_and_forgives_a_missing_last_nul(body: bytes) -> None:
    fields = decode_fields(body)
    if not body.endswith(b"\0"):
        assert decode_fields(body + b"\0") == (fields if body else [""])
    assert all("\0" not in field for field in fields)


def test_bytes_that_are_not_utf8_stay_visible() -> None:
    assert decode_fields(b"1\0\xff\0") == ["1", "\\xff"]
