"""Values as JSON, and text from the gateway as it may be stored."""

import json
import math
from collections import deque

import pytest

from ibkr.core.attempt_failure import Failure, FailureKind
from ibkr.core.events import Now
from ibkr.core.serialization import sanitize, sanitize_text, to_json, to_jsonable
from ibkr.core.stats import Stats

from .rig import START


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_in_json_is_none(number):
    assert to_jsonable({"a": (number, 1.5), "b": Now(number, START)})["a"] == [None, 1.5]
    told = Stats(START, round_trips=(0.5,), loop_stall_seconds=number).to_dict()
    assert told["loop_stall_seconds"] is None
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Market data farm connection is OK:usfarm", "Market data farm connection is OK:usfarm"),
        ("two\nlines\x1b[31m", "two lines [31m"),
        ("x" * 2000, "x" * 1000 + "..."),
        ("x" * 1000 + "...", "x" * 1000 + "..."),
        ("x" * 1003, "x" * 1000 + "..."),
        ("", ""),
    ],
)
def test_text_of_the_gateway_is_one_printable_line_of_a_bounded_length(text, kept):
    assert sanitize_text(text) == kept


def test_json_holds_what_it_may_hold_and_no_more():
    value = {
        "a\x1b": [math.nan, 1.5, True, None, b"bytes", object()],
        5: deque(["two\nlines", FailureKind.CLOSED]),
        "set": {1},
        "at": START,
        "failure": Failure(FailureKind.SILENT, "\x07"),
    }
    found = json.loads(to_json(value), parse_constant=pytest.fail)
    assert found["a "] == [None, 1.5, True, None, None, None]
    assert (found["5"], found["set"], found["at"]) == (
        ["two lines", "closed"],
        [1],
        START.isoformat(timespec="milliseconds"),
    )
    assert found["failure"]["detail"] == " "


def test_text_in_a_value_is_bounded_and_a_clean_value_is_the_same_object():
    evil = Failure(FailureKind.SILENT, "\x1b[2J\n", looks_like="http")
    value = (5, FailureKind.CLOSED, ("a", evil))
    assert sanitize(value) == (5, FailureKind.CLOSED, ("a", Failure(FailureKind.SILENT, "[2J", looks_like="http")))
    clean = (5, None, ("a", Failure(FailureKind.SILENT, "")))
    assert sanitize(clean) is clean
