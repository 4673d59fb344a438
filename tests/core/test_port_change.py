"""1300: the gateway's API port has changed. The connector tries the new and the configured port in turn."""

from __future__ import annotations

import pytest

from ibkr.core import effects as do
from ibkr.core.codes import new_port
from ibkr.core.events import RetryRequested
from ibkr.core.machine_state import Phase as P
from ibkr.core.states import ConnectionState as S

TEXT = "Socket port has been reset and this connection is being dropped. Please reconnect on the new port -{}"


def ports(rig) -> list[int]:
    return [order.port for order in rig.orders if isinstance(order, do.StartAttempt)]


@pytest.mark.parametrize(("text", "port"), [(TEXT.format(4001), 4001), ("on port 7496.", 7496), ("", None)])
def test_the_port_stands_at_the_end_of_the_text(text, port):
    assert new_port(text) == port


@pytest.mark.parametrize("text", ["port 0", "port 65536", "port 123456", "no port"])
def test_what_is_no_port_is_none(text):
    assert new_port(text) is None


def test_the_session_ends_and_the_next_attempt_goes_to_the_new_port(ready):
    ready.code(1300, text=TEXT.format(4001))
    assert (ready.state, ready.machine.phase) == (S.RECONNECTING, P.CLOSING)
    assert ready.status.reason == "session lost: the gateway has changed its API port to 4001 (1300)"
    ready.end()
    assert ready.orders == [do.AbortSocket(1), do.StartAttempt(2, 4001)]
    assert (ready.status.endpoint, ready.machine.port) == ("127.0.0.1:4001", 4001)
    ready.come_up()
    assert (ready.state, ready.status.endpoint) == (S.READY, "127.0.0.1:4001")


def test_the_two_ports_take_turns_until_one_answers(ready):
    ready.code(1300, text=TEXT.format(4001))
    ready.end()
    for _ in range(3):
        ready.refuse()
        ready.advance(0.25)
    assert ports(ready) == [4001, 7497, 4001, 7497]
    ready.come_up()
    ready.forget()
    ready.end()
    assert ports(ready) == [7497], "where it was last"


def test_a_start_up_that_breaks_off_keeps_the_port(ready):
    ready.code(1300, text=TEXT.format(4001))
    ready.end()
    ready.open_session()
    ready.end()
    assert ports(ready) == [4001, 4001]


def test_back_to_the_configured_port(ready):
    ready.code(1300, text=TEXT.format(4001))
    ready.end()
    ready.come_up()
    ready.code(1300, text=TEXT.format(7497))
    ready.end()
    ready.refuse()
    ready.advance(0.25)
    assert ports(ready) == [4001, 7497, 7497]


def test_without_a_port_it_comes_back_to_the_old_one(ready):
    ready.code(1300, text="something else")
    ready.end()
    assert ports(ready) == [7497]
    assert ready.status.reason == "session lost: the gateway has changed its API port (1300)"


def test_in_the_first_start_up_it_is_a_failed_attempt(rig):
    rig.connect(2)
    rig.open_session()
    rig.code(1300, text=TEXT.format(4001))
    assert (rig.machine.phase, rig.machine.failure.kind) == (P.WAITING, "closed")
    rig.end()
    rig.advance(1)
    assert ports(rig) == [7497, 4001]


def test_it_may_be_told_before_there_is_a_session(ready):
    ready.end()
    ready.code(1300, text=TEXT.format(4001))
    assert (ready.machine.phase, ready.status.endpoint) == (P.WAITING, "127.0.0.1:4001")
    assert ready.status.last_error == "closed: the gateway has changed its API port to 4001 (1300)"
    ready.end()
    for _ in range(2):
        ready.advance(1)
        ready.refuse()
    assert ports(ready) == [7497, 4001, 7497]


def test_a_port_that_changes_all_the_time_slows_the_attempts_down(new_rig):
    rig = new_rig(flap_limit=3)
    rig.connect()
    rig.come_up()
    for _ in range(4):
        rig.code(1300, text=TEXT.format(4001))
        rig.end()
        if rig.machine.phase is P.OPENING:
            rig.come_up()
    assert rig.machine.phase is P.WAITING
    assert "4 sessions lost within 60 s" in rig.status.reason
    assert rig.socket is None


def test_retry_now_makes_the_next_attempt_at_once(rig):
    rig.connect(None)
    rig.refuse()
    assert rig.machine.phase is P.WAITING
    rig.event(RetryRequested())
    assert (rig.machine.phase, rig.attempt) == (P.OPENING, 2)


@pytest.mark.parametrize("phase", [phase for phase in P if phase is not P.WAITING])
def test_retry_now_changes_nothing_outside_of_a_wait(new_rig, bring, phase):
    rig = new_rig()
    bring(rig, phase)
    rig.forget()
    rig.event(RetryRequested())
    assert (rig.machine.phase, rig.orders, rig.published) == (phase, [], [])
