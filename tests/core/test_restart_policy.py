"""The restart policy of the gateway: each cause, with each reason against a restart."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ibkr.core.events import Now
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.gateway_status import GatewayState as S
from ibkr.core.maintenance_calendar import Calendar, build_calendar
from ibkr.core.restart_policy import (
    RESTARTS,
    Action,
    Observation,
    PortState,
    Restart,
    RestartPolicy,
    restart_delay,
    restart_refusal,
)

NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 4, 11, 0, tzinfo=UTC)  # Wednesday noon in Berlin, 6 o'clock in New York
NIGHT = datetime(2026, 3, 4, 21, 30, tzinfo=UTC)
RESET = datetime(2026, 3, 4, 5, 30, tzinfo=UTC)  # 00:30 in New York
AMERICA = build_calendar("america", (), "", ZoneInfo)
LONG_AGO = -1e6
HUNG = Observation(S.RUNNING, PortState.SILENT, 0.0, LONG_AGO, sees_login=True, is_logged_in=True, logged_in_at=NOON)
GONE = Observation(S.EXITED, PortState.REFUSED, 0.0, LONG_AGO, exit_code=1, sees_login=True)


def policy(*restarts, calendar=AMERICA, **settings):
    chosen = GatewaySettings(**{"driver": "command", "start": "gateway", "auto_restart": True, **settings})
    return RestartPolicy(chosen, calendar, NEW_YORK, lambda moment: moment.astimezone(BERLIN), restarts)


def seen(base, **changes):
    return Observation(**{**vars(base), **changes})


def at(mono, wall=NOON):
    return Now(mono, wall + timedelta(seconds=mono))


def test_a_hang_is_restarted_after_restart_after():
    asked = policy()
    assert asked.decide(HUNG, at(599)).act is Action.NOTHING
    assert asked.decide(HUNG, at(599)).reason == "the port stays silent, not yet: kill after 600 s"
    assert asked.decide(HUNG, at(600)).act is Action.KILL
    assert asked.decide(HUNG, at(600)).reason == "the port stays silent"


def test_a_process_that_has_gone_is_started_at_once():
    decision = policy().decide(GONE, at(0))
    assert (decision.act, decision.reason) == (Action.START, "the process has ended (exit code 1)")


def test_the_command_server_comes_before_a_kill():
    asked, hung = policy(), seen(HUNG, has_command_server=True)
    acts = []
    for second in range(0, 1300, 10):
        act = asked.decide(hung, at(second)).act
        if act is not Action.NOTHING:
            acts.append((second, act))
            asked.done(act, full_login=asked.needs_login(act, hung, at(second)), now=at(second))
    assert acts == [
        (200, Action.RECONNECT_DATA),
        (400, Action.RECONNECT_ACCOUNT),
        (600, Action.RESTART),
        (900, Action.KILL),
    ]
    assert [restart.full_login for restart in asked.restarts] == [False, True]


def test_a_command_that_is_refused_is_no_restart():
    asked, hung = policy(), seen(HUNG, has_command_server=True)
    for act in (Action.RECONNECT_DATA, Action.RECONNECT_ACCOUNT, Action.RESTART):
        assert asked.decide(hung, at(600)).act is act
        asked.refused(act)
    assert asked.decide(hung, at(600)).act is Action.KILL
    assert asked.restarts == ()


def test_the_steps_begin_again_with_the_next_problem():
    asked, hung = policy(), seen(HUNG, has_command_server=True)
    asked.refused(Action.RECONNECT_DATA)
    assert asked.decide(hung, at(200)).act is Action.NOTHING
    asked.decide(seen(hung, link=PortState.UP), at(210))
    assert asked.decide(hung, at(220)).act is Action.RECONNECT_DATA


VETOES = {
    "second factor": ({"second_factor": True, "state": S.NEEDS_SECOND_FACTOR}, "a second factor is pending"),
    "login failed": ({"login_failed": True, "state": S.LOGIN_FAILED}, "the last login failed"),
    "window": ({"state": S.UNKNOWN_WINDOW, "is_logged_in": False}, "a window waits for a person"),
    "heals": ({"external_restart_on_hang": True, "external_restart_on_exit": True}, "its own supervisor"),
}


@pytest.mark.parametrize("base", [HUNG, GONE], ids=["hung", "gone"])
@pytest.mark.parametrize("veto", VETOES)
def test_what_forbids_every_restart(base, veto):
    changes, words = VETOES[veto]
    if base is GONE:
        changes = {key: value for key, value in changes.items() if key != "state"}
        if veto == "window":
            return
    decision = policy().decide(seen(base, **changes), at(5000))
    assert decision.act is Action.NOTHING
    assert words in decision.reason


@pytest.mark.parametrize("base", [HUNG, GONE], ids=["hung", "gone"])
def test_not_in_a_reset_window_and_its_time_does_not_count(base):
    asked = policy()
    decision = asked.decide(base, at(0, RESET))
    assert (decision.act, "nightly reset until 06:45 UTC" in decision.reason) == (Action.NOTHING, True)
    end = (datetime(2026, 3, 4, 6, 45, tzinfo=UTC) - RESET).total_seconds()
    assert asked.decide(base, at(end - 1, RESET)).act is Action.NOTHING
    after = asked.decide(base, at(end, RESET))
    assert after.act is (Action.START if base is GONE else Action.NOTHING)
    assert asked.decide(HUNG, at(end + 599, RESET)).act is Action.KILL


@pytest.mark.parametrize("base", [HUNG, GONE], ids=["hung", "gone"])
def test_not_in_the_first_minutes_after_a_start(base):
    fresh = seen(base, started=10_000.0)
    assert "it started less than 300 s ago" in policy().decide(fresh, at(10_299)).reason
    assert policy().decide(fresh, at(10_300)).act in RESTARTS


@pytest.mark.parametrize("link", [PortState.UP, PortState.UPSTREAM_DOWN, PortState.ANSWERS, PortState.UNKNOWN])
def test_not_while_the_gateway_answers(link):
    decision = policy().decide(seen(HUNG, link=link), at(100_000))
    assert decision.act is Action.NOTHING
    assert ("1100" in decision.reason) is (link is PortState.UPSTREAM_DOWN)


def test_not_while_it_is_stopped():
    assert policy().decide(seen(HUNG, state=S.STOPPED), at(5000)).reason == "it is stopped"


def test_a_driver_that_does_not_see_the_login_restarts_only_what_has_ended():
    decision = policy().decide(seen(HUNG, sees_login=False), at(5000))
    assert decision.act is Action.NOTHING
    assert "does not see the login" in decision.reason
    assert policy().decide(seen(GONE, sees_login=False), at(5000)).act is Action.START


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "somebody ended it, without an error"),
        (143, "somebody ended it, without an error"),
        (-15, "somebody ended it, without an error"),
        (1111, "nobody approved the second factor"),
        (1103, "a setting is wrong"),
        (None, "its exit code is not known"),
    ],
)
def test_an_end_that_no_restart_mends(code, words):
    assert words in policy().decide(seen(GONE, exit_code=code), at(0)).reason


@pytest.mark.parametrize(
    ("changes", "rings"),
    [
        ({"exit_code": 1111}, True),
        ({"exit_code": 1103}, True),
        ({"exit_code": None}, True),
        ({"second_factor": True}, True),
        ({"exit_code": 0}, False),
        ({"exit_code": 1111, "external_restart_on_exit": True}, False),
        ({"state": S.NEEDS_SECOND_FACTOR, "second_factor": True}, False),  # this state has a separate alert
    ],
)
def test_an_end_that_needs_a_person_rings(changes, rings):
    given = seen(GONE, **changes)
    assert ("no more restarts" in policy().decide(given, at(0)).alert) is rings
    assert policy(auto_restart=False).decide(given, at(0)).alert == ""


@pytest.mark.parametrize("code", [1, 127, 137, -9, -11, 1100, 1101, 1112])
def test_an_end_that_a_restart_mends(code):
    assert policy().decide(seen(GONE, exit_code=code), at(0)).act is Action.START


def test_watching_is_the_default():
    decision = policy(auto_restart=False).decide(GONE, at(0))
    assert (decision.act, decision.reason) == (
        Action.NOTHING,
        "the process has ended (exit code 1), no restart: auto_restart is off",
    )


def test_no_more_than_the_limit_counted_over_restarts_of_ours():
    earlier = [Restart(NOON - timedelta(hours=hours), full_login=True) for hours in (23, 15, 12)]
    asked = policy(*earlier)
    decision = asked.decide(GONE, at(0))
    assert decision.act is Action.NOTHING
    assert decision.alert == (
        "the process has ended (exit code 1); no more restarts: restart_limit (3 in 24 hours) is reached"
    )
    assert asked.restarts_today(NOON) == 3
    assert asked.decide(GONE, at(3600)).act is Action.START
    assert policy(restart_limit=0).decide(GONE, at(0)).act is Action.NOTHING


def test_growing_waits():
    asked = policy(restart_limit=9, start_grace=0.0)
    moments = []
    for second in range(0, 5000, 10):
        if asked.decide(GONE, at(second)).act is Action.START:
            moments.append(second)
            asked.done(Action.START, full_login=True, now=at(second))
    assert moments == [0, 300, 900, 2100, 4500]
    assert "the last restart is less than 4800 s ago" in asked.decide(GONE, at(4600)).reason
    assert restart_delay(40, GatewaySettings()) == 6 * 3600


def test_one_full_login_in_an_unattended_night():
    asked = policy(Restart(NIGHT - timedelta(hours=1), full_login=True))
    decision = asked.decide(GONE, at(0, NIGHT))
    assert decision.act is Action.NOTHING
    assert decision.alert.endswith(
        "; no restart before the morning: a restart would be a second full login in one unattended night"
    )
    assert asked.decide(GONE, at(8 * 3600, NIGHT)).act is Action.NOTHING
    assert asked.decide(GONE, at(10.5 * 3600, NIGHT)).act is Action.START
    assert policy(Restart(NIGHT - timedelta(hours=3), full_login=True)).decide(GONE, at(0, NIGHT)).act is Action.START


def test_a_restart_without_a_login_is_free_in_the_night():
    asked = policy(Restart(NIGHT - timedelta(hours=1), full_login=True))
    hung = seen(HUNG, has_command_server=True, logged_in_at=NIGHT)
    for act in (Action.RECONNECT_DATA, Action.RECONNECT_ACCOUNT):
        asked.refused(act)
    assert asked.decide(hung, at(600, NIGHT)).act is Action.RESTART


@pytest.mark.parametrize(
    ("act", "logged_in_at", "login"),
    [
        (Action.RESTART, NOON, False),
        (Action.RESTART, NOON - timedelta(days=6), True),  # before Sunday, 01:00 in New York
        (Action.RESTART, None, True),
        (Action.KILL, NOON, True),
        (Action.START, NOON, True),
    ],
)
def test_what_needs_a_full_login(act, logged_in_at, login):
    assert policy().needs_login(act, seen(HUNG, logged_in_at=logged_in_at), at(0)) is login


def test_a_night_in_the_middle_of_the_day():
    asked = policy(Restart(NOON, full_login=True), night="11:00-13:00", restart_wait=0.0)
    assert asked.decide(GONE, at(60)).act is Action.NOTHING
    assert asked.decide(GONE, at(3600)).act is Action.START


@pytest.mark.parametrize(
    ("state", "second_factor", "orders", "with_orders", "words"),
    [
        (S.RUNNING, False, 0, False, ""),
        (S.RUNNING, False, 1, False, "1 order works at the broker"),
        (S.RUNNING, False, 2, False, "2 orders work at the broker"),
        (S.RUNNING, False, 2, True, ""),
        (S.NEEDS_SECOND_FACTOR, True, 0, True, "the gateway waits for your second factor"),
        (S.UNKNOWN_WINDOW, True, 0, True, "the gateway waits for your second factor"),
        (S.EXITED, True, 0, False, ""),
        (S.STOPPED, True, 0, False, ""),
    ],
)
def test_a_restart_that_a_person_asks_for(state, second_factor, orders, with_orders, words):
    refusal = restart_refusal(state, orders, second_factor=second_factor, with_orders=with_orders)
    assert refusal.startswith(words)
    assert bool(refusal) is bool(words)


def test_a_calendar_without_windows():
    assert policy(calendar=Calendar()).decide(GONE, at(0, RESET)).act is Action.START
