"""A gateway cannot fill the log."""

from __future__ import annotations

import logging

from ibkr.observe.log_filter import LogRateLimit


def record(text: str, line: int = 1, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("ib_async.wrapper", logging.ERROR, "wrapper.py", line, text, arguments, None)


def test_each_place_logs_fifty_lines_then_one_in_two_seconds_and_says_how_many_were_left_out() -> None:
    now = 0.0
    limit = LogRateLimit(lambda: now)
    assert sum(limit.allows(record("same")) for _ in range(1000)) == 50
    assert limit.allows(record("other", line=2)), "another place has lines of its own"
    now = 2.1
    last = record("same %s", 1, "again")
    assert limit.allows(last)
    assert last.getMessage() == "same again (950 similar lines were not logged)"
    assert not limit.allows(record("same"))


def test_a_line_has_a_length() -> None:
    long = record("%s", 1, "x" * 1_000_000)
    assert LogRateLimit().allows(long)
    assert len(long.getMessage()) == 1003


def test_what_a_person_must_see_is_not_limited() -> None:
    limit = LogRateLimit()
    told = record("An order was not sent")
    told.is_unlimited = True
    assert all(limit.allows(told) for _ in range(1000))
