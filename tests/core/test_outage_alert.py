"""The outage alert: raised once for a lasting problem, and not in a maintenance window."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ibkr.core import effects as do
from ibkr.core.events import ClockJumped, Timer
from ibkr.core.machine_state import Phase as P
from ibkr.core.maintenance_calendar import Calendar, Recurrence
from ibkr.core.states import ConnectionState as S
from ibkr.core.status import MaintenanceWindow

# The rig's clock starts on Monday, 2 March 2026, at 14:30 UTC, so this window starts ten minutes later.
RESET = MaintenanceWindow("reset", datetime(2026, 3, 2, 14, 40, tzinfo=UTC), datetime(2026, 3, 2, 15, 0, tzinfo=UTC))
DAY = datetime(2026, 3, 2, tzinfo=UTC)


def daily(name: str, start: datetime, end: datetime) -> Recurrence:
    return Recurrence(name, frozenset(range(7)), start.time(), end.time(), UTC)


CALENDAR = Calendar([daily("reset", RESET.start, RESET.end)])


@pytest.fixture
def dated(new_rig):
    """READY, ten minutes before a window of twenty minutes."""
    rig = new_rig(calendar=CALENDAR)
    rig.answers_probes = True
    rig.connect()
    rig.come_up()
    rig.forget()
    return rig


def alerts(rig) -> list[str]:
    """The alert's text, each time that it changed."""
    told = [""]
    for status in rig.published:
        if status.alert != told[-1]:
            told.append(status.alert)
    return told[1:]


def test_an_outage_is_reported_once_after_five_minutes(dated):
    dated.code(1100)
    dated.advance(299)
    assert alerts(dated) == []
    dated.advance(1)
    assert alerts(dated) == ["this has lasted for 5 minutes outside of any maintenance window"]
    for _ in range(100):
        dated.code(1100)
        dated.advance(2)
    assert len(alerts(dated)) == 1
    dated.link_back()
    assert (dated.state, dated.status.alert) == (S.READY, "")
    assert Timer.ALERT not in dated.timers


def test_the_next_outage_is_reported_again(dated):
    for _ in range(2):
        dated.code(1100)
        dated.advance(10)
        dated.link_back()
        dated.advance(295)
    assert alerts(dated) == []


def test_a_connection_that_never_comes_is_reported(new_rig):
    rig = new_rig(outage_alert_after=30.0)
    rig.connect(None)
    for _ in range(200):
        rig.refuse()
        rig.advance(0.25)
    assert next(filter(None, alerts(rig))).startswith("this has lasted for 30 s")


def test_a_problem_that_turns_into_another_is_one_problem(dated):
    dated.code(1100)
    dated.advance(200)
    dated.end("reset by peer")
    dated.advance(4.9)
    assert dated.state is S.RECONNECTING
    dated.open_session()
    dated.advance(95)
    assert len(alerts(dated)) == 0
    dated.advance(1)
    assert len(alerts(dated)) == 1


def test_in_a_window_problems_are_expected_and_the_reason_says_so(dated):
    dated.advance(660)
    assert (dated.state, dated.status.maintenance) == (S.READY, RESET)
    dated.code(1100)
    assert dated.status.reason == "the gateway has lost its link to IB's servers (expected: reset until 15:00 UTC)"
    assert dated.status.may_trade_reason == dated.status.reason
    assert dated.status.to_dict()["maintenance"] == {
        "name": "reset",
        "start": "2026-03-02T14:40:00.000+00:00",
        "end": "2026-03-02T15:00:00.000+00:00",
    }
    dated.advance(1139)
    assert alerts(dated) == []
    dated.advance(1)
    assert alerts(dated) == ["this continues after the reset, which ended at 15:00 UTC"]
    assert dated.status.maintenance is None
    assert dated.status.reason == "the gateway has lost its link to IB's servers"


def test_an_outage_that_ends_within_its_window_is_never_told(dated):
    dated.advance(660)
    dated.code(1100)
    dated.advance(1000)
    dated.link_back()
    dated.advance(1000)
    assert alerts(dated) == []


def test_an_outage_from_before_the_window_waits_for_its_end(dated):
    dated.advance(400)
    dated.code(1100)
    dated.advance(1399)
    assert alerts(dated) == []
    dated.advance(2)
    assert alerts(dated) == ["this continues after the reset, which ended at 15:00 UTC"]


def test_an_outage_from_the_last_minute_of_a_window_has_its_five_minutes(dated):
    dated.advance(1740)
    dated.code(1100)
    dated.advance(299)
    assert alerts(dated) == []
    dated.advance(1)
    assert len(alerts(dated)) == 1


def test_one_window_after_the_other_is_as_good_as_one(new_rig):
    second = daily("second", RESET.end, RESET.end.replace(minute=20))
    rig = new_rig(calendar=Calendar([daily("reset", RESET.start, RESET.end), second]))
    rig.answers_probes = True
    rig.connect()
    rig.come_up()
    rig.advance(500)
    rig.code(1100)
    rig.advance(2490)
    assert alerts(rig) == []
    rig.advance(20)
    assert alerts(rig) == ["this continues after the second, which ended at 15:20 UTC"]


def test_a_window_that_began_while_our_loop_was_blocked_counts(dated):
    dated.advance(250)
    dated.code(1100)
    dated.block(400)
    assert alerts(dated) == []
    assert dated.status.maintenance == RESET


def test_an_outage_of_days_is_reported_once_and_not_cured_by_reconnecting(new_rig):
    rig = new_rig(probe_after=600.0)  # with a probe every five seconds, the test would be slow
    rig.answers_probes = True
    rig.connect()
    rig.come_up()
    rig.forget()
    rig.code(1100)
    rig.advance(3 * 86400)
    assert (len(alerts(rig)), rig.attempt, rig.socket) == (1, 1, 1)


@pytest.mark.parametrize("abort", [True, False])
def test_nothing_runs_on_when_nothing_is_wanted(dated, abort):
    dated.code(1100)
    dated.advance(301)
    dated.disconnect(abort=abort)
    assert dated.status.alert == ""
    assert set(dated.timers) <= {Timer.SOCKET_END, Timer.END_WATCH}


def test_windows_are_looked_up_when_a_connection_is_wanted_not_each_time(dated):
    dated.disconnect(abort=True)
    dated.end()
    dated.advance(86400)
    assert dated.status.maintenance is None
    dated.advance(660)
    dated.connect()
    assert dated.status.maintenance is not None
    assert dated.status.maintenance.start == datetime(2026, 3, 3, 14, 40, tzinfo=UTC)


def test_a_clock_that_was_set_is_noticed_within_the_hour(dated):
    assert max(dated.timers[Timer.CALENDAR] - dated.mono, 0) <= 600
    dated.advance(1801)
    assert dated.timers[Timer.CALENDAR] - dated.mono <= 3600


def test_a_window_that_was_slept_through_is_over(dated):
    """Timers do not run while the machine sleeps."""
    dated.advance(660)
    dated.code(1100)
    dated.advance(301)  # the alert waits for the end of the window, at least 14 minutes from now
    dated.ahead += 6 * 3600
    dated.event(ClockJumped(6 * 3600.0))
    dated.advance(1)
    assert alerts(dated) == ["this continues after the reset, which ended at 15:00 UTC"]


def test_no_window_is_told_of_while_nothing_is_wanted(dated):
    dated.advance(660)
    assert dated.status.maintenance is not None
    dated.disconnect()
    assert dated.status.maintenance is None


@pytest.mark.parametrize("phase", [P.OPENING, P.CLOSING, P.WAITING, P.UP])
def test_a_jump_of_the_clock_looks_at_the_calendar(new_rig, bring, phase):
    rig = new_rig(calendar=Calendar([daily("all day", DAY, DAY.replace(hour=14, minute=30))]))
    bring(rig, phase)
    assert rig.status.maintenance is None
    rig.mono += 9.5 * 3600  # past midnight, before any timer has fired
    rig.event(ClockJumped(34200.0))
    assert rig.status.maintenance is not None


@pytest.mark.parametrize("phase", [P.STARTUP, P.RESTORING, P.UP])
def test_after_a_suspend_the_socket_is_probed_at_once(new_rig, bring, phase):
    rig = new_rig()
    bring(rig, phase)
    rig.forget()
    rig.event(ClockJumped(3600.0))
    assert rig.orders == [do.SendProbe(1)]
    assert rig.delays == [(Timer.LIVENESS, 1.0)]
    rig.event(ClockJumped(3600.0))
    assert rig.orders == [do.SendProbe(1)], "one probe is out already"
    rig.advance(1)
    assert rig.state is S.DEGRADED


def test_after_a_suspend_nothing_is_probed_that_is_not_there(new_rig, bring):
    for phase in (P.IDLE, P.FAILED, P.WAITING, P.OPENING):
        rig = new_rig()
        bring(rig, phase)
        rig.forget()
        rig.event(ClockJumped(3600.0))
        assert rig.orders == []
