"""The log lines that a sequence of statuses causes.

This file has over 300 lines because all its tests read the same log.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from ibkr.core.codes import find
from ibkr.core.errors import Failure, FailureKind, advice
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import UpstreamState
from ibkr.core.status import MaintenanceWindow, Status
from ibkr.observe.connection_log import StallLog, StatusLog, log_stall
from ibkr.observe.log_filter import AccountMask, mask_loggers
from tests.observe.conftest import Story

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def at(seconds: float, state: S, reason: str, *, error: str = "", **more) -> Status:
    """``error``: the last failed attempt, as ``kind: detail``."""
    now = T0 + timedelta(seconds=seconds)
    kind, _, detail = error.partition(": ")
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
        last_error=error,
        failure=Failure(FailureKind(kind), detail) if error else None,
        **{"trouble": reason} | more,
    )


@pytest.fixture
def story(caplog):
    """Logs statuses. Returns the lines as (level, text)."""
    caplog.set_level(logging.DEBUG, "ibkr.connector")
    sink, add_outage = StatusLog(), Story()

    def tell(*statuses: Status) -> list[tuple[str, str]]:
        caplog.clear()
        for status in statuses:
            sink(add_outage(status))
        assert {record.name for record in caplog.records} <= {"ibkr.connector"}
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    return tell


WHO = "127.0.0.1:7497 as client 3"
START_IT = advice(FailureKind.UNREACHABLE, "127.0.0.1:7497", 3)
LOOK_AT_IT = advice(FailureKind.SILENT, "127.0.0.1:7497", 3)
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
        return at(seconds, S.RECONNECTING, reason, error=error)

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
        ("WARNING", f"{WHO} RECONNECTING: attempt 1: connection refused. {START_IT}"),
        ("DEBUG", f"{WHO} still RECONNECTING (2): attempt 2: connection refused"),
        ("DEBUG", f"{WHO} still RECONNECTING (3): attempt 3: connection refused"),
        ("WARNING", f"{WHO} RECONNECTING: attempt 4: silent. {LOOK_AT_IT}"),
        ("DEBUG", f"{WHO} SYNCING: start-up"),
        ("INFO", f"Connected to IBKR again at {WHO} after 2.5 s: session and upstream up"),
    ]


def test_a_restart_of_ten_minutes_is_five_lines(story):
    story(*UP)
    lost, refused = "session lost: closed", "session lost: closed; connection refused"
    statuses = [at(10, S.RECONNECTING, lost)]
    alert = "this has lasted for 5 minutes"
    for tick in range(2400):
        seconds = 10.1 + tick / 4
        statuses.append(
            at(
                seconds,
                S.RECONNECTING,
                refused,
                error="unreachable: connection refused",
                alert=alert if seconds > 310 else "",
                attempt=tick,
            )
        )
    statuses += [
        at(610.2, S.RECONNECTING, f"{lost}; client id in use", error="client_id_in_use: in use", alert=alert),
        at(611, S.SYNCING, "start-up"),
        at(611.1, S.READY, "up"),
    ]
    lines = [text for level, text in story(*statuses) if level != "DEBUG"]
    assert lines == [
        f"{WHO} RECONNECTING: {lost}",
        f"{WHO} RECONNECTING: {refused}. {START_IT}",
        f"{WHO} RECONNECTING, and {alert}: {refused}",
        f"Connected to IBKR again at {WHO} after 601.1 s: up",
    ], "and the gap report"


def test_an_outage_of_days_is_reported_once_an_hour(story):
    story(*UP)
    days = (at(60 * minute, S.DEGRADED, "the gateway has lost its link") for minute in range(1, 3 * 24 * 60))
    told = [text for level, text in story(*days) if level != "DEBUG"]
    assert 3 * 24 - 1 <= len(told) < 3 * 24 + 8


def test_in_a_maintenance_window_problems_are_no_warnings(story):
    story(*UP)
    window = MaintenanceWindow("nightly reset", T0, T0 + timedelta(hours=1))
    lost = "the gateway has lost its link"
    lines = story(
        at(10, S.DEGRADED, f"{lost} (expected: {window})", maintenance=window, trouble=lost),
        at(3600, S.DEGRADED, lost),
        at(3600, S.DEGRADED, lost, alert="this continues after the nightly reset"),
        at(3601, S.DEGRADED, lost, alert="this continues after the nightly reset"),
        at(3602, S.READY, "up"),
    )
    assert [line for line in lines if line[0] != "DEBUG"] == [
        ("INFO", f"{WHO} DEGRADED: {lost} (expected: nightly reset until 15:30 UTC)"),
        ("WARNING", f"{WHO} DEGRADED, and this continues after the nightly reset: {lost}"),
        ("INFO", f"Connected to IBKR again at {WHO} after 3592.0 s: up"),
    ]


def test_how_often_the_gateway_has_said_it_is_told_at_the_end(story):
    story(*UP)
    lost = at(10, S.DEGRADED, "the gateway has lost its link", upstream=UpstreamState.DOWN, upstream_notices=1)
    lines = story(
        lost, at(70, S.READY, "up", upstream_notices=31), at(80, S.DEGRADED, "suspect"), at(81, S.READY, "up")
    )
    assert [text for level, text in lines if level == "INFO"] == [
        f"Connected to IBKR again at {WHO} after 60.0 s: up (the gateway said 31 times that its link to IB was lost)",
        f"Connected to IBKR again at {WHO} after 1.0 s: up",
    ]


def test_a_blocked_loop_is_told_but_not_all_the_time(caplog):
    caplog.set_level(logging.DEBUG, "ibkr.connector")
    times = iter([0.0, 10.0, 59.0, 61.0, 62.0])
    sink = StallLog(lambda: next(times))
    for seconds in (30.0, 1.5, 30.0, 2.0, 40.0):
        sink(seconds)
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG", "WARNING", "WARNING"]
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith("The event loop was blocked, or not run, for 30.0 s: ")
    assert told[3].endswith("(2 more times since the last such line)")
    assert "for 40.0 s: " in told[4], "a longer outage is logged immediately"
    assert "times more" not in told[4]


def test_a_blockage_is_reported_once_for_all_who_live_in_the_loop(caplog):
    caplog.set_level(logging.WARNING, "ibkr.connector")
    loop, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    for each in (loop, loop, loop, other):
        log_stall(each, 1.5)
    assert len(caplog.records) == 2
    loop.close()
    other.close()


def test_each_outage_is_told_however_soon_after_the_last_and_whatever_its_cause(story):
    story(*UP)
    for number in range(4):
        lines = story(at(10 + 3 * number, S.RECONNECTING, "session lost"), at(11 + 3 * number, S.READY, "up"))
        assert [level for level, _ in lines] == ["WARNING", "INFO"]
    lines = story(at(30, S.DEGRADED, "link lost", upstream=UpstreamState.DOWN), at(31, S.READY, "up"))
    assert [level for level, _ in lines] == ["WARNING", "INFO"]


def test_a_link_that_flaps_does_not_fill_the_log(story):
    """An outage of one second every three seconds, for ten minutes."""
    story(*UP)
    lines = []
    for number in range(200):
        lost = at(10 + 3 * number, S.RECONNECTING, "session lost: reset")
        lines += story(lost, at(11 + 3 * number, S.READY, "up"))
    levels = [level for level, _ in lines]
    assert levels.count("WARNING") == levels.count("INFO") == 19
    assert sum("(19 similar outages before this one were not logged)" in text for _, text in lines) >= 8


def test_given_up_is_a_warning_at_any_time(story):
    story(*UP)
    window = MaintenanceWindow("nightly reset", T0, T0 + timedelta(hours=1))
    [(level, text)] = story(at(10, S.FAILED, "client id 3 is already in use", maintenance=window))
    assert (level, "FAILED" in text) == ("WARNING", True)


def test_the_next_outage_warns_again_and_has_a_length_of_its_own(story):
    story(*UP)
    first = story(at(10, S.RECONNECTING, "session lost: reset"), at(11, S.READY, "up"))
    second = story(at(71, S.RECONNECTING, "session lost: reset"), at(74, S.READY, "up"))
    for lines, seconds in ((first, "1.0"), (second, "3.0")):
        assert [level for level, _ in lines] == ["WARNING", "INFO"]
        assert f"after {seconds} s" in lines[-1][1]


def test_within_a_session_each_reason_is_a_problem_of_its_own(story):
    story(*UP)
    down = at(20, S.DEGRADED, "the gateway has lost its link")
    suspect = at(21, S.DEGRADED, "a probe is unanswered")
    assert [level for level, _ in story(down, suspect, down)] == ["WARNING", "WARNING", "DEBUG"]


def test_a_first_connection_that_is_late(story):
    refused = at(0.1, S.CONNECTING, "attempt 1: refused", error="unreachable: refused")
    lines = story(UP[0], refused, at(3.1, S.READY, "up"))
    assert lines[1] == ("WARNING", f"{WHO} CONNECTING: attempt 1: refused. {START_IT}")
    assert lines[-1] == ("INFO", f"Connected to IBKR at {WHO} after 3.0 s: up")


def test_given_up(story):
    failed = at(3, S.FAILED, "connection refused", error="unreachable: connection refused")
    assert story(UP[0], failed)[-1] == ("WARNING", f"{WHO} FAILED: connection refused. {START_IT}")


def test_a_clock_set_back_gives_no_negative_length(story):
    story(*UP)
    lines = story(at(10, S.RECONNECTING, "session lost"), at(5, S.READY, "up"))
    assert "after 0.0 s" in lines[-1][1]


def test_a_problem_that_has_a_code_says_what_to_do_about_it(story):
    refused = "subscriptions refused: market data AAPL (354: not subscribed); market data IBM (354: not subscribed)"
    story(*UP)
    [(level, line)] = story(at(1, S.DEGRADED, refused, codes=(354,)))
    assert (level, line) == ("WARNING", f"{WHO} DEGRADED: {refused}. {find(354).advice.rstrip('.')}")
    [(_, line)] = story(at(2, S.DEGRADED, "upstream lost", upstream=UpstreamState.DOWN, codes=(1100,)))
    assert line == f"{WHO} DEGRADED: upstream lost. {find(1100).advice.rstrip('.')}"
    [(_, line)] = story(at(3, S.DEGRADED, "subscriptions refused: market data X (99999: who knows)", codes=(99999,)))
    assert line.endswith("(99999: who knows)")


@pytest.mark.parametrize(
    ("message", "behind"),
    [
        ("Error 354, reqId 7: Requested market data is not subscribed.", f" | {find(354).advice}"),
        ("Warning 399, reqId 8: held until the exchange opens", f" | {find(399).advice}"),
        ("Warning 2104, reqId -1: Market data farm connection is OK:usfarm", ""),
        ("Error 99999, reqId 8: a new one", ""),
        ("placeOrder: New order 354", ""),
    ],
)
def test_the_client_library_s_line_about_a_code_says_what_to_do(caplog, message, behind):
    caplog.set_level(logging.INFO, "ib_async.wrapper")
    mask = AccountMask()
    undo = mask_loggers(["ib_async.wrapper"], mask)
    logging.getLogger("ib_async.wrapper").info(message)
    undo()
    assert [record.getMessage() for record in caplog.records] == [message + behind]


def test_an_outage_is_as_long_as_the_machine_says(story):
    """The log has no line about a restore, and its problem begins later than the outage."""
    story(*UP)
    lines = story(at(10, S.SYNCING, "restore"), at(12, S.DEGRADED, "subscriptions refused"), at(15, S.READY, "up"))
    assert lines[-1] == ("INFO", f"Connected to IBKR again at {WHO} after 5.0 s: up")


def test_a_halt_and_its_end_are_reported_once(story):
    ready, halted = at(0, S.READY, "up"), at(1, S.READY, "up", halted="the risk limit")
    story(ready)
    assert story(halted, halted) == [("WARNING", f"{WHO} sends no new orders: halted: the risk limit")]
    assert story(at(2, S.READY, "up")) == [("WARNING", f"{WHO} is no longer halted")]
