"""The lines that a story of statuses leaves in the log."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from ibkr.core.state import ConnectionState as S
from ibkr.core.status import Status
from ibkr.observe.log import StatusLog

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def at(seconds: float, state: S, reason: str, **more) -> Status:
    now = T0 + timedelta(seconds=seconds)
    return Status(
        state=state,
        reason=reason,
        since=now,
        as_of=now,
        may_trade=False,
        may_trade_reason=reason,
        is_connected=state is S.READY or state is S.DEGRADED,
        endpoint="127.0.0.1:7497",
        client_id=3,
        **more,
    )


@pytest.fixture
def story(caplog):
    """Takes statuses, gives the lines as (level, text)."""
    caplog.set_level(logging.DEBUG, "ibkr.connector")
    sink = StatusLog()

    def tell(*statuses: Status) -> list[tuple[str, str]]:
        caplog.clear()
        for status in statuses:
            sink(status)
        assert {record.name for record in caplog.records} <= {"ibkr.connector"}
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    return tell


WHO = "127.0.0.1:7497 as client 3"
UP = (at(0, S.CONNECTING, "first"), at(0.1, S.SYNCING, "start-up"), at(0.2, S.READY, "session and upstream up"))


def test_a_connection_that_comes_and_goes(story):
    assert story(at(0, S.DISCONNECTED, "not yet"), *UP, at(9, S.DISCONNECTED, "disconnected")) == [
        ("INFO", f"Connecting to IBKR at {WHO}"),
        ("DEBUG", f"{WHO} SYNCING: start-up"),
        ("INFO", f"Connected to IBKR at {WHO}: session and upstream up"),
        ("INFO", f"Disconnected from IBKR at {WHO}: disconnected"),
    ]


def test_the_same_state_again_is_no_line(story):
    story(*UP)
    again = at(1, S.READY, "session and upstream up", outages=0, server_version=178)
    assert story(again, at(2, S.READY, "session up; read-only")) == []
    assert story(at(3, S.DISCONNECTED, "bye"), at(4, S.DISCONNECTED, "bye bye")) == [
        ("INFO", f"Disconnected from IBKR at {WHO}: bye")
    ]
    assert story(at(5, S.CONNECTING, "first"), at(6, S.CONNECTING, "port accepted")) == [
        ("INFO", f"Connecting to IBKR at {WHO}")
    ]


def test_an_outage_warns_once_for_each_cause_then_counts_and_ends_with_its_length(story):
    story(*UP)

    def out(seconds, reason, error=""):
        return at(seconds, S.RECONNECTING, reason, last_error=error)

    assert story(
        out(10, "session lost: reset by peer"),
        out(10.1, "attempt 1: connection refused", "unreachable: connection refused"),
        out(10.3, "attempt 2: connection refused", "unreachable: connection refused"),
        out(10.6, "attempt 3: connection refused", "unreachable: connection refused"),
        out(11.0, "attempt 4: silent", "silent: nothing for 5 s"),
        at(12.0, S.SYNCING, "start-up"),
        at(12.5, S.READY, "session and upstream up"),
    ) == [
        ("WARNING", f"{WHO} RECONNECTING: session lost: reset by peer"),
        ("WARNING", f"{WHO} RECONNECTING: attempt 1: connection refused"),
        ("DEBUG", f"{WHO} still RECONNECTING (2): attempt 2: connection refused"),
        ("DEBUG", f"{WHO} still RECONNECTING (3): attempt 3: connection refused"),
        ("WARNING", f"{WHO} RECONNECTING: attempt 4: silent"),
        ("DEBUG", f"{WHO} SYNCING: start-up"),
        ("INFO", f"Connected to IBKR again at {WHO} after 2.5 s: session and upstream up"),
    ]


def test_a_long_outage_is_told_once_a_minute(story):
    story(*UP)

    def out(seconds):
        return at(seconds, S.RECONNECTING, "connection refused", last_error="unreachable: connection refused")

    lines = story(*(out(seconds) for seconds in (10, 40, 69.9, 70, 70.3, 130.1)))
    assert [level for level, _ in lines] == ["WARNING", "DEBUG", "DEBUG", "INFO", "DEBUG", "INFO"]
    assert lines[3] == ("INFO", f"{WHO} still RECONNECTING after 60 s: connection refused")


def test_the_next_outage_warns_anew_and_has_a_length_of_its_own(story):
    story(*UP)
    first = story(at(10, S.RECONNECTING, "session lost: reset"), at(11, S.READY, "up"))
    second = story(at(20, S.RECONNECTING, "session lost: reset"), at(23, S.READY, "up"))
    for lines, seconds in ((first, "1.0"), (second, "3.0")):
        assert [level for level, _ in lines] == ["WARNING", "INFO"]
        assert f"after {seconds} s" in lines[-1][1]


def test_within_a_session_each_reason_is_a_trouble_of_its_own(story):
    story(*UP)
    down = at(20, S.DEGRADED, "the gateway has lost its link")
    suspect = at(21, S.DEGRADED, "a probe is unanswered")
    assert [level for level, _ in story(down, suspect, down)] == ["WARNING", "WARNING", "DEBUG"]


def test_a_first_connection_that_is_late(story):
    refused = at(0.1, S.CONNECTING, "attempt 1: refused", last_error="unreachable: refused")
    lines = story(UP[0], refused, at(3.1, S.READY, "up"))
    assert lines[1] == ("WARNING", f"{WHO} CONNECTING: attempt 1: refused")
    assert lines[-1] == ("INFO", f"Connected to IBKR at {WHO} after 3.0 s: up")


def test_given_up(story):
    failed = at(3, S.FAILED, "connection refused", last_error="unreachable: connection refused")
    assert story(UP[0], failed)[-1] == ("WARNING", f"{WHO} FAILED: connection refused")


def test_a_clock_set_back_gives_no_negative_length(story):
    story(*UP)
    lines = story(at(10, S.RECONNECTING, "session lost"), at(5, S.READY, "up"))
    assert "after 0.0 s" in lines[-1][1]
