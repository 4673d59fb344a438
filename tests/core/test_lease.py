"""The lease of a fleet: how long it is trusted, and how the connection uses it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.core import effects as do
from ibkr.core.errors import FailureKind as K
from ibkr.core.events import LeaseChanged, SocketClosed, Timer
from ibkr.core.lease import Clocks, LeaseRole, LeaseStatus, LeaseTerm
from ibkr.core.machine_state import Phase as P
from ibkr.core.states import ConnectionState as S

LEADER = LeaseStatus("mean-reversion", LeaseRole.LEADER, 100, True, "", "alpha", datetime(2026, 3, 2, tzinfo=UTC))
RAN_OUT = replace(LEADER, is_held=False, reason="the fleet's lease ran out at 14:30:07 UTC")
STANDBY = replace(LEADER, role=LeaseRole.STANDBY, client_id=101, is_held=False, reason="standby: alpha leads")
TERM = LeaseTerm(Clocks(1000.0, 2_000_000.0), 10.0)
seconds = st.floats(0.0, 100.0)


def clocks(boot: float, wall: float) -> Clocks:
    return Clocks(1000.0 + boot, 2_000_000.0 + wall)


@given(boot=seconds, wall=seconds)
def test_the_earlier_of_two_clocks_counts_and_seven_tenths_of_the_lifetime(boot, wall):
    now = clocks(boot, wall)
    assert TERM.left(now) == pytest.approx(7.0 - max(boot, wall), abs=1e-6)
    assert bool(TERM.why_not(now)) == (TERM.left(now) <= 0)


def test_a_machine_that_slept_does_not_trust_it():
    assert TERM.why_not(clocks(6.9, 6.9)) == ""
    assert "ran out at" in TERM.why_not(clocks(7.1, 0.1))


def test_a_machine_whose_wall_clock_went_ahead_does_not_trust_it():
    assert TERM.why_not(clocks(0.1, 7.0))


def test_a_wall_clock_that_was_set_back_gives_no_more_time():
    assert TERM.left(clocks(6.0, -3600.0)) == pytest.approx(1.0)


def test_without_a_fleet_there_is_none(ready):
    assert (ready.status.lease, ready.status.client_id, ready.status.may_trade) == (None, 7, True)
    assert ready.machine._state.client_id is None


def lead(rig, lease=LEADER):
    rig.event(LeaseChanged(lease))
    rig.connect()
    rig.come_up()
    rig.forget()
    return rig


def test_the_client_id_of_the_lease_is_the_one_to_connect_with(rig):
    rig.event(LeaseChanged(LEADER))
    assert rig.status.lease == LEADER
    rig.connect()
    assert rig.orders[0] == do.StartAttempt(1, 7497, False, 100, False)
    rig.come_up()
    assert (rig.status.client_id, rig.status.state, rig.status.may_trade) == (100, S.READY, True)


def test_a_lease_that_ran_out_forbids_orders_and_says_why(rig):
    lead(rig)
    rig.event(LeaseChanged(RAN_OUT))
    status = rig.status
    assert (status.state, status.may_trade, status.may_trade_reason) == (S.DEGRADED, False, RAN_OUT.reason)
    assert (status.is_connected, status.outage.cause) == (True, "incomplete")
    assert RAN_OUT.reason in status.reason
    assert rig.orders == [], "the session continues"
    rig.event(LeaseChanged(LEADER))
    assert (rig.status.state, rig.status.may_trade) == (S.READY, True)


def test_a_standby_is_ready_and_may_not_trade(rig):
    lead(rig, STANDBY)
    status = rig.status
    assert (status.state, status.may_trade, status.may_trade_reason) == (S.READY, False, STANDBY.reason)
    assert STANDBY.reason in status.reason
    assert status.client_id == 101
    rig.answers_probes = True
    rig.advance(1000)
    assert rig.status.alert == "", "to stand by is no trouble"


def test_it_takes_over_with_the_name_s_client_id(rig):
    lead(rig, STANDBY)
    rig.event(LeaseChanged(LEADER))
    assert (rig.machine.phase, rig.status.may_trade, rig.status.client_id) == (P.CLOSING, False, 101)
    rig.end()
    assert rig.orders[-1] == do.StartAttempt(2, 7497, False, 100, False)
    assert rig.status.client_id == 100
    rig.come_up()
    assert rig.status.may_trade


@pytest.mark.parametrize("knows_former", [False, True])
def test_the_gap_report_is_incomplete_where_the_journal_is_not_here(rig, knows_former):
    lead(rig, STANDBY)
    rig.event(LeaseChanged(replace(LEADER, knows_former=knows_former)))
    for _ in range(2):
        rig.end()
        rig.come_up()
    told = [order.unknown for order in rig.orders if isinstance(order, do.CompareBrokerState)]
    assert [any("former leader" in each for each in unknown) for unknown in told] == [not knows_former, False]


def test_a_leader_that_was_replaced_looks_on(rig):
    lead(rig)
    rig.event(LeaseChanged(STANDBY))
    assert rig.machine.phase is P.CLOSING
    assert not rig.status.may_trade
    rig.end()
    assert rig.orders[-1] == do.StartAttempt(2, 7497, False, 101, True)


def test_a_client_id_that_is_still_in_use_is_waited_for_with_an_alert(rig):
    lead(rig, STANDBY)
    rig.event(LeaseChanged(LEADER))
    rig.end()
    for _ in range(200):
        rig.refuse(K.CLIENT_ID_IN_USE, "client id 100 is already in use")
        assert rig.machine.phase is P.WAITING
        assert "waiting for client id 100" in rig.status.reason
        rig.advance(rig.timers[Timer.RETRY] - rig.mono)
        if rig.mono - rig.opened[1][1] >= rig.policy.client_id_later_after + 1:
            break
    assert "client id 100" in rig.status.alert
    assert not rig.status.may_trade
    rig.come_up()
    assert (rig.status.alert, rig.status.may_trade) == ("", True)


def test_a_client_id_in_use_is_no_failed_attempt_in_a_first_connection(rig):
    rig.event(LeaseChanged(LEADER))
    rig.connect(1)
    for _ in range(5):
        rig.refuse(K.CLIENT_ID_IN_USE, "client id 100 is already in use")
        assert rig.machine.phase is P.WAITING
        rig.advance(rig.timers[Timer.RETRY] - rig.mono)
    rig.refuse()
    assert rig.status.state is S.FAILED


@pytest.mark.parametrize("phase", list(P))
def test_the_client_id_may_change_at_any_time(new_rig, bring, phase):
    rig = new_rig()
    rig.event(LeaseChanged(STANDBY))
    bring(rig, phase)
    rig.forget()
    rig.event(LeaseChanged(LEADER))
    if phase in (P.IDLE, P.FAILED):
        assert rig.machine.phase is phase
        rig.connect()
    if rig.socket is not None and rig.machine.phase is P.CLOSING:
        rig.end()
    assert rig.machine.phase is P.OPENING
    assert [order.client_id for order in rig.orders if isinstance(order, do.StartAttempt)] == [100]


def test_the_client_id_may_change_while_the_port_is_looked_at(rig, bring):
    rig.event(LeaseChanged(STANDBY))
    bring(rig, P.IDENTIFYING)
    rig.event(SocketClosed(rig.attempt, "EOF"))
    assert rig.machine.phase is P.IDENTIFYING
    rig.event(LeaseChanged(LEADER))
    assert rig.machine.phase is P.OPENING


def test_the_client_id_may_change_while_the_last_attempt_s_socket_ends(rig):
    rig.event(LeaseChanged(STANDBY))
    rig.connect(None)
    rig.accept()
    rig.advance(5)
    assert (rig.machine.phase, rig.socket) == (P.WAITING, 1)
    rig.event(LeaseChanged(LEADER))
    assert rig.machine.phase is P.CLOSING
    rig.end()
    assert rig.orders[-1] == do.StartAttempt(2, 7497, False, 100, False)


def test_a_change_of_the_client_id_is_no_failed_attempt(rig):
    rig.event(LeaseChanged(STANDBY))
    rig.connect(1)
    rig.event(LeaseChanged(LEADER))
    rig.end()
    rig.come_up()
    assert rig.status.state is S.READY


def test_it_is_reported_in_json(rig):
    rig.event(LeaseChanged(LEADER))
    told = rig.status.to_dict()["lease"]
    assert told["role"] == "leader"
    assert told["since"].startswith("2026-03-02T00:00:00")
