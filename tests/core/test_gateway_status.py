"""The status of the gateway's process: each event in each state, and the connection's reason."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ibkr.core.errors import Failure, FailureKind
from ibkr.core.events import AttemptFailed, GatewayStatusChanged
from ibkr.core.gateway_status import GatewayState as S
from ibkr.core.gateway_status import GatewayStatus, clean_text, exit_words, full_exit_code, next_forced_login
from ibkr.core.gateway_tracker import (
    GatewayTracker,
    LoggedIn,
    LoginFailed,
    LoginStarted,
    PastEvents,
    ProcessEnded,
    ProcessStarted,
    ProcessStarting,
    RestartStarted,
    SecondFactorWanted,
    UnknownWindow,
)

T0 = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
# The events from a start into each state, for a driver that sees the login.
INTO = {
    S.STOPPED: [],
    S.STARTING: [ProcessStarted(7)],
    S.NEEDS_SECOND_FACTOR: [ProcessStarted(7), SecondFactorWanted()],
    S.LOGIN_FAILED: [ProcessStarted(7), LoginFailed("Invalid username or password")],
    S.RUNNING: [ProcessStarted(7), LoggedIn()],
    S.RESTARTING: [ProcessStarted(7), LoggedIn(), RestartStarted("as every day")],
    S.UNKNOWN_WINDOW: [ProcessStarted(7), UnknownWindow("Prediction Markets")],
    S.EXITED: [ProcessStarted(7), LoggedIn(), ProcessEnded(1)],
}
ANYWHERE = {
    SecondFactorWanted(): S.NEEDS_SECOND_FACTOR,
    LoggedIn(): S.RUNNING,
    LoginFailed("no"): S.LOGIN_FAILED,
    UnknownWindow("?"): S.UNKNOWN_WINDOW,
    RestartStarted(): S.RESTARTING,
    ProcessEnded(0, wanted=True): S.STOPPED,
    ProcessStarted(8): S.STARTING,
    ProcessStarting(): S.STARTING,
    LoginStarted(): S.STARTING,
    ProcessEnded(137): S.EXITED,
}
KEPT = {
    # LOGIN_FAILED stays until a login completes or a second factor is requested.
    (S.LOGIN_FAILED, LoginStarted()): S.LOGIN_FAILED,
    (S.LOGIN_FAILED, ProcessStarted(8)): S.LOGIN_FAILED,
    (S.LOGIN_FAILED, ProcessStarting()): S.LOGIN_FAILED,
    (S.RUNNING, LoginStarted()): S.RUNNING,
}


def tracked(*events, sees_login=True):
    tracker = GatewayTracker(sees_login=sees_login, now=T0)
    for number, event in enumerate(events):
        tracker.take(event, T0 + timedelta(minutes=number))
    return tracker


@pytest.mark.parametrize("event", ANYWHERE, ids=repr)
@pytest.mark.parametrize("state", list(S))
def test_each_event_in_each_state(state, event):
    tracker = tracked(*INTO[state])
    assert tracker.state is state
    tracker.take(event, T0)
    assert tracker.state is KEPT.get((state, event), ANYWHERE[event])


@given(st.lists(st.sampled_from([*ANYWHERE, LoggedIn(T0 - timedelta(hours=9)), ProcessEnded(1111)])))
@example([LoginFailed("no"), ProcessEnded(0, wanted=True)])
def test_the_past_leads_to_the_state_that_watching_it_shows(events):
    watched, late = tracked(), tracked()
    for event in events:
        watched.take(event, T0)
    assert late.take(PastEvents(tuple(events)), T0) is (late.status() != tracked().status())
    assert vars(late) == vars(watched)


def test_since_when():
    tracker = tracked(*INTO[S.NEEDS_SECOND_FACTOR])
    since = tracker.since
    assert not tracker.take(SecondFactorWanted(), T0 + timedelta(hours=1))
    assert (tracker.since, tracker.status().alert) == (
        since,
        "the gateway waits for your second factor since 14:31 UTC: approve it in IBKR Mobile",
    )


def test_a_driver_that_does_not_see_the_login():
    tracker = tracked(ProcessStarting(), sees_login=False)
    assert tracker.state is S.STARTING
    tracker = tracked(ProcessStarted(7, T0 - timedelta(hours=1)), sees_login=False)
    assert (tracker.state, tracker.login_seen, tracker.started_at) == (S.RUNNING, False, T0 - timedelta(hours=1))


def test_a_session_shows_that_the_login_is_done():
    tracker = tracked(*INTO[S.LOGIN_FAILED])
    assert tracker.session_up(T0)
    assert (tracker.state, tracker.login_failed, tracker.is_logged_in) == (S.RUNNING, False, True)
    assert not tracker.session_up(T0)


def test_what_is_known_of_the_login():
    tracker = tracked(*INTO[S.NEEDS_SECOND_FACTOR])
    assert tracker.second_factor
    tracker.take(ProcessEnded(1111), T0)
    assert tracker.second_factor, "nobody has approved it"
    tracker.take(ProcessStarted(8), T0)
    assert not tracker.second_factor
    tracker.take(LoggedIn(), T0)
    assert (tracker.is_logged_in, tracker.logged_in_at) == (True, T0)
    tracker.take(LoginFailed("Existing session"), T0)
    assert tracker.login_failed
    assert tracker.take(ProcessEnded(1), T0)
    assert (tracker.detail, tracker.status().alert) == (
        "Existing session",
        "the gateway's login failed: Existing session",
    )
    tracker.take(ProcessStarted(9), T0)
    assert (tracker.state, tracker.login_failed) == (S.STARTING, True), "somebody tries again"
    assert tracker.status().alert == "the gateway's login failed: Existing session"
    tracker.take(LoginFailed(), T0)
    assert tracker.status().alert == "the gateway's login failed"
    tracker.take(SecondFactorWanted(), T0)
    assert not tracker.login_failed, "user and password were taken"


def test_as_plain_data(ready):
    tracker = tracked(*INTO[S.EXITED])
    status = tracker.status(driver="ibc", next_login=T0, restarts=2, alert="no more restarts", supervised=True)
    ready.event(GatewayStatusChanged(status))
    plain = ready.status.to_dict()["gateway"]
    assert (
        plain
        == json.loads(json.dumps(plain))
        == {
            "state": "exited",
            "since": "2026-03-02T14:32:00.000+00:00",
            "driver": "ibc",
            "detail": "",
            "exit_code": 1,
            "next_login": "2026-03-02T14:30:00.000+00:00",
            "restarts": 2,
            "alert": "no more restarts",
            "supervised": True,
        }
    )


REASONS = {
    S.STOPPED: "the gateway is stopped",
    S.STARTING: "the gateway is starting",
    S.NEEDS_SECOND_FACTOR: "the gateway waits for your second factor: approve it in IBKR Mobile",
    S.LOGIN_FAILED: "the gateway's login failed: Invalid username or password",
    S.RUNNING: "connection refused",
    S.RESTARTING: "the gateway is restarting: as every day",
    S.UNKNOWN_WINDOW: "the gateway shows a window that it does not handle by itself: Prediction Markets",
    S.EXITED: "the gateway's process has ended (exit code 1)",
}


@pytest.mark.parametrize(("state", "reason"), REASONS.items())
@pytest.mark.parametrize("kind", [FailureKind.UNREACHABLE, FailureKind.CLOSED, FailureKind.SILENT])
def test_the_reason_of_a_port_that_refuses_is_the_process(rig, state, reason, kind):
    status = tracked(*INTO[state]).status()
    rig.connect(None)
    rig.refuse(kind)
    assert rig.status.reason == "connection refused"
    rig.event(GatewayStatusChanged(status))
    assert rig.status.gateway == status
    assert rig.status.reason == rig.status.may_trade_reason == reason
    assert rig.status.alert == status.alert
    assert bool(status.advice) is (state not in (S.STARTING, S.RUNNING, S.RESTARTING))
    rig.event(GatewayStatusChanged(None))
    assert (rig.status.reason, rig.status.alert) == ("connection refused", "")


def test_what_the_gateway_said_itself_is_not_explained_away(rig):
    rig.event(GatewayStatusChanged(tracked(*INTO[S.STARTING]).status()))
    rig.connect(1)
    assert rig.status.reason == "the first attempt is under way"
    rig.refuse(FailureKind.CLIENT_ID_IN_USE, "client id 7 is in use")
    assert rig.status.reason == "client id 7 is in use"


def test_a_connection_that_was_given_up_tells_the_process_too(rig):
    rig.connect(1)
    rig.refuse()
    rig.event(GatewayStatusChanged(tracked(*INTO[S.EXITED]).status()))
    assert str(rig.status) == "FAILED (the gateway's process has ended (exit code 1)); may not trade"


def test_an_alert_of_the_gateway_stands_beside_that_of_the_outage(rig):
    rig.connect(None)
    rig.refuse()
    rig.advance(400)
    outage = rig.status.alert
    assert outage
    rig.event(GatewayStatusChanged(tracked(*INTO[S.LOGIN_FAILED]).status()))
    assert rig.status.alert == f"{outage}; the gateway's login failed: Invalid username or password"


@pytest.mark.parametrize(
    ("code", "full", "words"),
    [
        (None, None, ""),
        (0, 0, " (exit code 0)"),
        (87, 1111, " (exit code 1111: the second factor was not approved in time)"),
        (88, 1112, " (exit code 1112: the login window never appeared)"),
        (1112, 1112, " (exit code 1112: the login window never appeared)"),
        (137, 137, " (exit code 137)"),
    ],
)
def test_exit_codes(code, full, words):
    assert exit_words(code if code is None else full_exit_code(code)) == words
    assert code is None or full_exit_code(code) == full


@given(st.text())
def test_text_of_the_gateway_is_one_short_printable_line(text):
    shown = clean_text(text, 20)
    assert shown.isprintable()
    assert len(shown) <= 20
    assert shown == shown.strip()


@pytest.mark.parametrize(
    ("moment", "login"),
    [
        ("2026-03-02T14:30", "2026-03-08T06:00"),
        ("2026-03-08T05:59:59", "2026-03-08T06:00"),
        ("2026-03-08T06:00", "2026-03-15T05:00"),  # clocks go forward on the 8th
        ("2026-10-31T12:00", "2026-11-01T05:00"),
        ("2026-11-01T05:30", "2026-11-08T06:00"),  # clocks go back on the first of November
        ("2026-11-07T23:00", "2026-11-08T06:00"),
    ],
)
def test_the_next_forced_login(moment, login):
    found = next_forced_login(datetime.fromisoformat(moment).replace(tzinfo=UTC), NEW_YORK)
    assert found.isoformat() == f"{login}:00+00:00"


def test_a_status_without_a_detail():
    assert GatewayStatus(S.LOGIN_FAILED, T0).reason == "the gateway's login failed"


def test_a_name_without_an_address_is_not_explained_by_the_process(rig):
    rig.connect(None)
    rig.event(GatewayStatusChanged(tracked(*INTO[S.STARTING]).status()))
    words = "the host's name cannot be resolved"
    rig.event(AttemptFailed(rig.attempt, Failure(FailureKind.UNREACHABLE, words, unknown_host=True)))
    assert rig.status.reason == words
