"""What IBC's log lines mean, according to its source code."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.core.gateway_tracker import (
    LoggedIn,
    LoginFailed,
    LoginStarted,
    RestartStarted,
    SecondFactorWanted,
    UnknownWindow,
)
from ibkr.gateway.ibc_log import IbcLogParser

AT = "2026-07-02 22:28:35"
WHEN = datetime(2026, 7, 2, 22, 28, 35).astimezone()


def line(words):
    return f"{AT}:123 IBC: {words}"


def read(*lines, **options):
    log = IbcLogParser(**options)
    return [event for each in lines for event in log.parse(each)]


@pytest.mark.parametrize(
    ("words", "event"),
    [
        ("Starting session: will exit if login dialog is not displayed within 60 seconds", LoginStarted()),
        ("Re-starting session", LoginStarted()),
        ("Re-login to session", LoginStarted()),
        ("Second Factor Authentication initiated", SecondFactorWanted()),
        ("Re-login after second factor authentication timeout in 5 second", SecondFactorWanted()),
        (
            "Re-login after second factor authentication timeout not required",
            LoginFailed("nobody approved the second factor in time: restart the gateway when you hold your phone"),
        ),
        ("Login has completed", LoggedIn(WHEN)),
        ("Login failed", LoginFailed("the gateway refused user, password or trading mode")),
        ("RestartTask: verb = RESTART", RestartStarted("RESTART of IBC's command server")),
    ],
)
def test_a_line(words, event):
    assert read(line(words)) == [event]


@pytest.mark.parametrize(
    "words",
    [
        "Login attempt: 1",
        "detected dialog entitled: Second Factor Authentication; event=Opened",
        "Login has already completed - no need for IBC to exit",
        "RestartTask: verb = PAUSE",
        "User must choose whether to continue with this session (scenario 1)",
    ],
)
def test_a_line_that_tells_nothing(words):
    assert read(line(words), words) == []


def test_a_login_error_has_its_text_in_the_lines_below():
    lines = [line("Login error message:"), "Unrecognized Username or Password", "Try again", line("Cold restart")]
    assert read(*lines) == [LoginFailed("Unrecognized Username or Password Try again")]


def test_the_exit_code_that_a_shell_does_not_see():
    log = IbcLogParser()
    assert [*log.parse(line("Exiting after error with exit code=1111"))] == []
    assert log.exit_code == 1111
    assert [*log.parse("IBC will restart shortly")] == [RestartStarted("the gateway restarts itself")]
    assert log.exit_code is None


@pytest.mark.parametrize("tells", [False, True])
def test_unknown_windows_only_where_their_structure_is_logged(tells):
    shown = line("Window structure for dialog entitled: News; event=Opened")
    assert read(shown, logs_unknown_windows=tells) == ([UnknownWindow("News")] if tells else [])


def test_a_time_of_another_zone():
    [event] = IbcLogParser().parse(line("Login has completed"), WHEN.replace(year=2025))
    assert event == LoggedIn(WHEN.replace(year=2025))


@given(st.lists(st.text()))
def test_any_text_is_read(lines):
    read(*lines, *map(line, lines))


@given(st.from_regex(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3} IBC: (Exiting after error with exit code=\d+|.*)"))
def test_any_time_is_read(text):
    read(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-45 25:00:00:000 IBC: Login has completed",
        "0000-00-00 00:00:00:000 IBC: x",
        f"{AT.replace('2', chr(0x662))}:123 IBC: Login has completed",
        line(f"Exiting after error with exit code={'9' * 5000}"),
        line(f"Exiting after error with exit code={chr(0x661)}"),
        f"IBC returned exit status {'9' * 5000}",
    ],
)
def test_a_line_that_makes_no_sense(text):
    log = IbcLogParser()
    assert ([*log.parse(text)], log.exit_code, log.exit_status) == ([], None, None)


def test_the_exit_status_that_the_script_tells():
    log = IbcLogParser()
    assert [*log.parse("IBC returned exit status 87")] == []
    assert log.exit_status == 87
    assert [*log.parse("IBC will restart shortly")] == [RestartStarted("the gateway restarts itself")]
    assert log.exit_status is None
