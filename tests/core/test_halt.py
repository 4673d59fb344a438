"""A halt, and what the journal reports: why orders are refused, and when all orders are cancelled."""

from __future__ import annotations

import pytest

from ibkr.core import effects as do
from ibkr.core.errors import FailureKind as K
from ibkr.core.errors import JournalInUse
from ibkr.core.events import (
    GlobalCancelDelivered,
    Halted,
    JournalOpened,
    JournalTroubleChanged,
    Resumed,
    StartupAnswered,
    Timer,
    TransportClosed,
)
from ibkr.core.machine_state import Phase as P
from ibkr.core.states import ConnectionState as S

TROUBLE = "the journal cannot be written: the disk is full"


def delivered(rig, earlier: int = 0) -> GlobalCancelDelivered:
    """The answer to the last global cancel, or to an earlier one."""
    numbers = [order.number for order in rig.orders if isinstance(order, do.SendGlobalCancel)]
    return GlobalCancelDelivered(rig.attempt, numbers[-1 - earlier] if numbers else 1)


def cancels(rig) -> list[int]:
    return [order.attempt for order in rig.orders if isinstance(order, do.SendGlobalCancel)]


@pytest.mark.parametrize("phase", list(P))
def test_it_may_be_told_at_any_time(rig, bring, phase):
    bring(rig, phase)
    events = [
        Halted("risk"),
        JournalOpened(("DU1",), had_session=True),
        JournalTroubleChanged(TROUBLE),
        JournalTroubleChanged(""),
    ]
    for event in (*events, Resumed(), *([delivered(rig)] if rig.opened else [])):
        rig.event(event)
        assert rig.machine.phase is phase


def test_it_forbids_orders_until_somebody_resumes(ready):
    ready.event(Halted("the risk limit"))
    status = ready.status
    assert (status.state, status.may_trade, status.halted) == (S.READY, False, "the risk limit")
    assert "halted: the risk limit" in status.reason
    assert "resume()" in status.may_trade_reason
    assert ready.published[-1] == status
    ready.event(Resumed())
    assert (ready.status.may_trade, ready.status.halted) == (True, "")
    assert not cancels(ready)


def test_the_reason_says_once_how_to_end_it(ready):
    ready.event(Halted("the risk limit"))
    assert ready.status.may_trade_reason == (
        "halted: the risk limit; connector.resume() or 'ibkr resume' ends the halt"
    )
    of_the_fleet = "the risk limit (all of the fleet, by me; 'ibkr resume --fleet' ends it)"
    ready.event(Halted(of_the_fleet))
    assert ready.status.may_trade_reason == f"halted: {of_the_fleet}"


def test_it_holds_over_outages_and_disconnects(ready):
    ready.event(Halted("the risk limit"))
    ready.end()
    assert ready.status.may_trade_reason.startswith("halted: the risk limit")
    ready.disconnect()
    ready.end()
    ready.connect()
    ready.come_up()
    assert ready.status.state is S.READY
    assert not ready.status.may_trade


def test_all_is_cancelled_at_once_in_a_session_and_once(ready):
    ready.event(Halted("the risk limit", cancel_all=True))
    ready.code(2104, "usfarm")
    assert cancels(ready) == [ready.attempt]
    ready.event(delivered(ready))
    ready.end()
    ready.come_up()
    assert len(cancels(ready)) == 1


def test_a_cancel_that_has_not_arrived_is_sent_again_in_the_next_session(ready):
    ready.event(Halted("the risk limit", cancel_all=True))
    ready.end()
    ready.come_up()
    assert cancels(ready) == [ready.attempt - 1, ready.attempt]


def test_it_waits_for_a_session_and_not_for_the_end_of_its_start_up(rig):
    rig.connect()
    rig.event(Halted("the risk limit", cancel_all=True))
    assert not cancels(rig)
    rig.open_session()
    assert cancels(rig) == [rig.attempt]


def test_it_waits_while_upstream_is_down(ready):
    ready.code(1100)
    ready.event(Halted("the risk limit", cancel_all=True))
    assert not cancels(ready)
    ready.code(1102)
    assert cancels(ready) == [ready.attempt]


READ_ONLY = "Error validating request.-'bH' : cause - The API interface is currently in Read-Only mode."


def is_recorded(rig) -> bool:
    return do.RecordGlobalCancel() in rig.orders


def test_a_cancel_that_a_read_only_gateway_refuses_stays_due(ready):
    ready.event(Halted("the risk limit", cancel_all=True))
    ready.code(321, text=READ_ONLY)
    ready.event(delivered(ready))
    assert not is_recorded(ready)
    assert len(cancels(ready)) == 1, "it would be refused again"
    ready.event(StartupAnswered(ready.attempt, ("open orders",)))
    assert len(cancels(ready)) == 2
    ready.event(delivered(ready))
    assert is_recorded(ready)


def test_a_cancel_that_the_gateway_cannot_pass_on_is_sent_again(ready):
    ready.event(Halted("the risk limit", cancel_all=True))
    ready.code(1100)
    ready.event(delivered(ready))
    assert not is_recorded(ready)
    ready.code(1102)
    assert len(cancels(ready)) == 2


def test_it_waits_while_the_session_is_suspect(ready):
    ready.advance(6.5)
    assert ready.status.session == "suspect"
    ready.event(Halted("the risk limit", cancel_all=True))
    assert not cancels(ready)
    ready.hear()
    assert cancels(ready) == [ready.attempt]


def test_nothing_is_sent_where_the_transport_has_ended(ready):
    ready.event(TransportClosed(ready.attempt, "EOF"))
    ready.event(Halted("the risk limit", cancel_all=True))
    assert not cancels(ready)


def test_a_second_halt_cancels_again(ready):
    for _ in range(2):
        ready.event(Halted("the risk limit", cancel_all=True))
        ready.event(delivered(ready))
    assert cancels(ready) == [ready.attempt] * 2


def test_the_answer_to_an_earlier_cancel_proves_nothing(ready):
    """An order may have been sent between the two halts: only the second cancel surely comes after it."""
    ready.event(Halted("the risk limit", cancel_all=True))
    ready.event(Resumed())
    ready.event(Halted("the risk limit", cancel_all=True))
    assert len(cancels(ready)) == 2
    ready.event(delivered(ready, earlier=1))
    assert not is_recorded(ready)
    ready.event(delivered(ready))
    assert is_recorded(ready)


def test_the_answer_to_a_cancel_that_was_lost_proves_nothing(ready):
    ready.event(Halted("the risk limit", cancel_all=True))
    ready.code(1100)
    ready.code(1102)
    assert len(cancels(ready)) == 2
    ready.event(delivered(ready, earlier=1))
    assert not is_recorded(ready)
    ready.event(delivered(ready))
    assert is_recorded(ready)


def test_a_halt_with_another_cancel_that_has_ended_leaves_none_due(ready):
    """The halt of the fleet has ended before its cancel could be sent. The program's own halt continues."""
    ready.code(1100)
    ready.event(Halted("the risk limit", cancel_all=True))
    ready.event(Halted("the risk limit", cancel_all=False))
    ready.code(1102)
    assert not cancels(ready)


def test_a_step_that_shows_nothing_sends_it_too(rig, new_rig):
    rig.connect()
    rig.open_session()
    rig.code(1100)
    rig.event(Halted("the risk limit", cancel_all=True))
    rig.event(StartupAnswered(rig.attempt, ("positions",)))
    assert not cancels(rig)


def test_a_journal_that_cannot_be_written_forbids_orders_and_raises_the_alert(ready):
    ready.event(JournalTroubleChanged(TROUBLE))
    status = ready.status
    assert (status.state, status.may_trade, status.may_trade_reason) == (S.READY, False, TROUBLE)
    assert TROUBLE in status.reason
    assert status.alert == status.journal_trouble == TROUBLE
    ready.event(JournalTroubleChanged(""))
    assert (ready.status.may_trade, ready.status.alert) == (True, "")


def test_by_policy_a_journal_that_cannot_be_written_is_only_reported(new_rig):
    rig = new_rig(require_journal=False)
    rig.connect()
    rig.come_up()
    rig.event(JournalTroubleChanged(TROUBLE))
    assert rig.status.may_trade
    assert TROUBLE in rig.status.reason


def test_nobody_is_alarmed_where_no_connection_is_wanted(rig):
    rig.event(JournalTroubleChanged(TROUBLE))
    assert rig.status.alert == ""


def use_id(rig) -> None:
    rig.refuse(K.CLIENT_ID_IN_USE, "client id 7 is already in use")


def test_a_client_id_in_use_is_waited_for_if_the_journal_knows_a_session(rig):
    """The machine waits as after a lost session of its own, with an alert. Other causes limit attempts as usual."""
    rig.event(JournalOpened(("DU1234567",), had_session=True))
    rig.connect(3)
    policy = rig.policy
    for _ in range(90):
        use_id(rig)
        assert rig.machine.phase is P.WAITING
        wait = rig.timers[Timer.RETRY] - rig.mono
        assert wait <= policy.client_id_every_last
        rig.advance(wait)
    assert "(326)" in rig.status.alert
    for _ in range(2):
        rig.refuse()
        assert rig.machine.phase is P.WAITING
        rig.advance(policy.connect_pause)
    rig.refuse()
    assert rig.status.state is S.FAILED


def test_without_an_earlier_session_in_the_journal_it_fails(rig):
    rig.event(JournalOpened())
    rig.connect(3)
    for _ in range(2):
        use_id(rig)
        rig.advance(rig.policy.connect_pause)
    use_id(rig)
    assert rig.status.state is S.FAILED


def test_it_waits_without_limit_where_there_is_none(rig):
    rig.event(JournalOpened(("DU1234567",), had_session=True))
    rig.connect(None)
    use_id(rig)
    assert rig.machine.phase is P.WAITING


@pytest.mark.parametrize("account", ["", "DU7654321"])
def test_the_login_of_the_journal_is_the_one_that_is_meant(new_rig, account):
    rig = new_rig(account=account)
    rig.event(JournalOpened(("DU1234567",), had_session=True))
    rig.connect()
    rig.accept()
    rig.open_session(accounts=("DU7654321",))
    rig.code(2104, "usfarm")
    rig.answer()
    assert rig.status.state is S.DEGRADED
    assert "the journal belongs to" in rig.status.may_trade_reason


def test_it_may_be_one_of_several(rig):
    rig.event(JournalOpened(("DU1234567",), had_session=True))
    rig.connect()
    rig.accept()
    rig.open_session(accounts=("DU1", "DU1234567"))
    rig.code(2104, "usfarm")
    rig.answer()
    assert rig.status.may_trade


def test_who_has_the_journal_is_reported():
    error = JournalInUse("/home/me/journal.sqlite", "process 4711 on here")
    assert "/home/me/journal.sqlite is in use by process 4711 on here" in str(error)
    assert (error.path, error.holder) == ("/home/me/journal.sqlite", "process 4711 on here")
