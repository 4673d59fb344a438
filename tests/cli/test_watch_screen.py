"""The screen of ``ibkr watch``, rendered as on a terminal."""

from __future__ import annotations

import io
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from ibkr import ConnectionState, FarmState, GapReport, SessionState, Stats, Status, UpstreamState
from ibkr.cli.side_panels import Details
from ibkr.cli.watch_screen import StateChange, WatchScreen, add_state_change, banner, sparkline

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
STATUS = Status(
    ConnectionState.READY,
    "session and upstream up",
    since=NOON,
    as_of=NOON,
    may_trade=True,
    may_trade_reason="",
    is_connected=True,
    endpoint="127.0.0.1:7497",
    client_id=7,
    server_version=178,
    accounts=("DU1234567",),
    session=SessionState.UP,
    upstream=UpstreamState.UP,
    farms={f"farm{number}": FarmState.OK for number in range(12)},
)


def rendered(status: Status, *, height: int = 24, width: int = 80, **more: object) -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    size = {"width": width, "height": height}
    console = Console(file=file, **size, force_terminal=True, color_system=None, legacy_windows=False)
    changes: deque[StateChange] = deque()
    add_state_change(status, changes, show_accounts=False)
    given = {
        "stats": Stats(NOON),
        "changes": changes,
        "now": NOON + timedelta(seconds=3725),
        "key_help": "q  quit",
        **more,
    }
    console.print(WatchScreen(status, **given), end="")
    file.seek(0)
    return file.read().split("\n")


@pytest.mark.parametrize("state", ConnectionState)
def test_every_state(state):
    lines = rendered(replace(STATUS, state=state))
    assert len(lines) == 24
    assert all(len(line) <= 80 for line in lines)
    assert lines[-1] == "q  quit"
    assert banner(state).split("\n")[0] in lines[1]
    assert "for 1:02:05" in lines[1]


def test_a_broken_farm_is_visible_among_many():
    lines = rendered(replace(STATUS, farms={**STATUS.farms, "usfarm": FarmState.BROKEN}))
    assert any(line.startswith("Data farms") and "usfarm (broken)" in line for line in lines)


def test_accounts_are_masked():
    lines = rendered(replace(STATUS, reason="DU1234567 is not in this login"))
    assert not any("DU1234567" in line for line in lines)
    assert any("DU1234567" in line for line in rendered(STATUS, show_accounts=True))


@pytest.mark.parametrize("state", ConnectionState)
@pytest.mark.parametrize("width", [40, 71, 72])
def test_a_narrow_terminal_cuts_neither_the_state_nor_its_age(state, width):
    lines = rendered(replace(STATUS, state=state), width=width)
    assert all(len(line) <= width for line in lines)
    assert banner(state).split("\n")[0] in lines[1] or state in lines[1]
    assert "for 1:02:05" in lines[1]


def test_a_small_terminal_still_has_the_state_and_the_keys():
    lines = rendered(STATUS, height=8)
    assert len(lines) == 8
    assert lines[-1] == "q  quit"


def test_the_countdown():
    waiting = replace(
        STATUS, state=ConnectionState.RECONNECTING, attempt=4, next_retry_at=NOON + timedelta(seconds=2.5)
    )
    assert "Next attempt  number 5 in 1.5 s" in "\n".join(rendered(waiting, now=NOON + timedelta(seconds=1)))


def test_round_trips_as_bars():
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([1, 4, 8]) == "▂▅█"
    text = "\n".join(rendered(STATUS, stats=Stats(NOON, probes=3, round_trips=(0.001, 0.004, 0.008))))
    assert "▂▅█ 8.0 ms (median 4.0, longest 8.0)" in text
    text = "\n".join(rendered(STATUS, stats=Stats(NOON, round_trips=(*[0.002] * 118, 0.9, 0.002))))
    assert f"Round-trip    {'▃' * 22}█▃ 2.0 ms (median 2.0, longest 900.0)" in text


def test_a_passing_state_is_one_line_with_its_latest_reason():
    changes: deque[StateChange] = deque()
    for state, reason in (
        (ConnectionState.READY, "well"),
        (ConnectionState.READY, "a farm is broken"),
        (ConnectionState.RECONNECTING, "session lost"),
        (ConnectionState.RECONNECTING, "session lost; refused"),
        (ConnectionState.RECONNECTING, "session lost; refused"),
        (ConnectionState.READY, "well"),
    ):
        add_state_change(replace(STATUS, state=state, reason=reason), changes, show_accounts=False)
    assert [change.text for change in changes] == ["well", "a farm is broken", "session lost; refused", "well"]


def test_the_last_gap_report_is_masked():
    assert any(line.startswith("Last gap      none") for line in rendered(STATUS))
    gap = GapReport(
        NOON, NOON + timedelta(seconds=3), "reset", incomplete=("DU1234567: none",), accounts=("DU1234567",)
    )
    [line] = [line for line in rendered(STATUS, gap=gap, width=100) if line.startswith("Last gap")]
    assert f"{gap.end.astimezone():%H:%M:%S}, of 3.0 s: no changes found; could not check: DU***67: none" in line


DETAILS = Details(
    [{"state": "refused", "kind": "market data", "label": "AAPL", "age": None, "last_error": "354: not subscribed"}],
    [
        {
            "stage": "unconfirmed",
            "action": "BUY",
            "quantity": 10.0,
            "symbol": "AAPL",
            "order_type": "LMT",
            "limit_price": 1.5,
            "filled": 0.0,
            "order_id": 7,
        }
    ],
    [{"symbol": f"SYM{number}", "quantity": 1.0, "average_cost": 2.0, "account": "DU***67"} for number in range(60)],
    [
        {"severity": "warning", "code": 2103, "text": f"number {number}", "at": "2026-03-02T12:00:00.000+00:00"}
        for number in range(500)
    ],
)


def test_a_wide_screen_has_the_panels_beside():
    lines = rendered(STATUS, width=140, height=40, details=DETAILS)
    assert len(lines) == 40
    assert all(len(line) <= 140 for line in lines)
    text = "\n".join(lines)
    for words in (
        "refused  market data AAPL  354: not subscribed",
        "unconfirmed  BUY 10 AAPL LMT at 1.5",
        "Positions: 60",
        "number 499",
    ):
        assert words in text
    assert sum(not line[82:].strip() for line in lines[:-1]) == 0, "no line is empty beside the status"
    assert banner(ConnectionState.READY).split("\n")[0] in lines[1]


def test_a_high_screen_has_the_panels_below():
    lines = rendered(STATUS, width=80, height=50, details=DETAILS)
    text = "\n".join(lines)
    assert len(lines) == 50
    assert "BUY 10 AAPL LMT at 1.5" in text
    assert "Last events" in text
    assert "BUY 10 AAPL" not in "\n".join(rendered(STATUS, width=80, height=24, details=DETAILS))


def test_problems_of_the_attached_connection_are_shown():
    assert any("No news from" in line for line in rendered(STATUS, trouble="No news from http://x/ since 12:00:00"))


def test_control_characters_of_a_page_do_not_reach_the_terminal():
    bad = [{**row, "text": "\x1b]0;title\x07\x1b[2J\r\nsecond"} for row in DETAILS.messages]
    lines = rendered(STATUS, width=140, height=40, details=replace(DETAILS, messages=bad))
    assert "\x07" not in "".join(lines)
    assert "\x1b]0" not in "".join(lines)
    assert len(lines) == 40
