"""Attempts without an answer, and lost sessions that the peer's system does not know to be lost."""

import pytest

from ibkr.core import effects as do
from ibkr.core.errors import Failure
from ibkr.core.errors import FailureKind as K
from ibkr.core.events import AttemptFailed, PeerIdentified, SocketClosed, Timer, UnconfirmedOrdersChanged
from ibkr.core.machine_state import Phase as P
from ibkr.core.order_records import SentOrder
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import SessionState

WEB_SERVER = Failure(K.NOT_A_GATEWAY, "a web server (HTTP) answers", looks_like="http")


def die(rig):
    """The session stops answering, and is ended."""
    rig.advance(10)
    rig.end("aborted")


def opened(rig) -> list[bool]:
    """For each attempt since the last ``forget``: whether it starts from the lost session's address."""
    return [order.from_lost_address for order in rig.orders if isinstance(order, do.StartAttempt)]


def pass_unanswered(rig, seconds: float):
    """Let time pass without an answer. Each attempt ends by itself, together with its socket."""
    end = rig.mono + seconds
    while rig.mono < end:
        rig.advance(min(end, *rig.timers.values()) - rig.mono)
        if rig.socket is not None and rig.machine.phase in (P.CLOSING, P.WAITING):
            rig.end()


def test_no_answer_to_the_syn_ends_the_attempt_after_two_seconds_and_the_next_starts_at_once(ready):
    ready.end()
    first = len(ready.opened)
    pass_unanswered(ready, 20.0)
    starts = [at - ready.opened[first - 1][1] for _, at in ready.opened[first:]]
    assert starts == pytest.approx([2.0 * number for number in range(1, len(starts) + 1)], abs=0.01)
    assert len(starts) >= 9
    assert ready.status.last_error == "unreachable: no answer to the TCP connection for 2 s"


def test_a_shorter_timeout_is_the_limit_for_the_syn_too(new_rig):
    rig = new_rig(syn_timeout=60.0)
    rig.connect()
    rig.advance(5)
    assert rig.machine.failure.detail == "no answer to the TCP connection for 5 s"


def test_an_accepted_attempt_has_the_complete_timeout(rig):
    rig.connect()
    rig.accept()
    rig.advance(4.9)
    assert rig.machine.phase is P.OPENING
    rig.advance(0.1)
    assert rig.machine.failure.kind is K.SILENT


def test_a_session_found_dead_is_replaced_from_its_own_address_with_a_syn_every_second(ready):
    die(ready)
    pass_unanswered(ready, 20.0)
    assert len(opened(ready)) >= 20
    assert all(opened(ready))


def test_now_and_then_a_slow_link_has_the_complete_time_to_answer(ready):
    die(ready)
    pass_unanswered(ready, 130.0)
    lengths = [delay for timer, delay in ready.delays if timer is Timer.ATTEMPT]
    assert set(lengths) == {1.0, 2.0}
    assert lengths.count(1.0) >= 20 * lengths.count(2.0)


@pytest.mark.parametrize("answer", ["refused", "326", "accepted, then closed", "accepted, then silent", "a session"])
def test_an_answer_of_the_peer_ends_that(ready, answer):
    die(ready)
    match answer:
        case "refused":
            ready.refuse()
        case "326":
            ready.code(326)
            ready.end()
        case "accepted, then closed":
            ready.accept()
            ready.end("EOF")
        case "accepted, then silent":
            ready.accept()
            ready.advance(5)
            ready.end()
        case "a session":
            ready.come_up()
            ready.end("reset")
    ready.forget()
    ready.advance(20)
    assert not any(opened(ready))


def test_an_unreachable_network_is_no_answer(ready):
    """If a VPN is down, the VPN itself reports the error, and the peer has received nothing."""
    die(ready)
    ready.event(AttemptFailed(ready.attempt, Failure(K.UNREACHABLE, "Network is unreachable", unanswered=True)))
    ready.end()
    ready.advance(0.25)
    assert opened(ready) == [True, True]


@pytest.mark.parametrize("unanswered", [False, True])
def test_what_our_own_system_gave_up_counts_as_dead(ready, unanswered):
    """TCP's keepalive may notice a dead connection first. If the peer ends a connection, the peer knows about it."""
    ready.event(SocketClosed(ready.attempt, "Connection timed out", unanswered=unanswered))
    assert opened(ready) == [unanswered]


def test_a_session_lost_in_its_first_start_up_is_replaced_so_too(rig):
    rig.connect(None)
    rig.open_session()
    rig.event(SocketClosed(rig.attempt, "Connection timed out", unanswered=True))
    rig.advance(1)
    assert opened(rig) == [False, True]


@pytest.mark.parametrize("suspect", [False, True])
def test_reconnect_takes_a_suspect_session_for_dead(ready, suspect):
    ready.advance(6.5 if suspect else 1)
    ready.reconnect()
    ready.end()
    assert opened(ready) == [suspect]


def test_connect_begins_again(ready):
    die(ready)
    ready.disconnect()
    ready.end()
    ready.connect()
    assert opened(ready)[-1] is False


# --- what answers at the port


@pytest.fixture
def silent(rig):
    """The peer has accepted a first attempt, but sent nothing before the timeout."""
    rig.answers_looks = False
    rig.connect()
    rig.accept()
    rig.advance(5)
    return rig


def test_before_silence_is_reported_the_port_is_looked_at(silent):
    assert silent.orders[-2:] == [do.AbortSocket(1), do.IdentifyPeer(1, 7497)]
    assert silent.machine.is_identifying_peer
    assert (silent.state, silent.status.session) == (S.CONNECTING, SessionState.OPENING)
    assert silent.running == {Timer.ATTEMPT: silent.mono + 1.0}


def test_a_web_server_is_no_gateway(silent):
    silent.end()
    silent.event(PeerIdentified(1, WEB_SERVER))
    assert (silent.state, silent.machine.failure) == (S.FAILED, WEB_SERVER)
    assert silent.machine.attempts_made == 1
    assert silent.machine.is_quiet


def test_before_an_end_without_a_byte_is_reported_too(rig):
    """Some TLS servers close without an alert when they get no TLS."""
    rig.peer = Failure(K.NOT_A_GATEWAY, "a server that wants TLS answers", looks_like="tls")
    rig.connect()
    for _ in range(3):
        assert not any(isinstance(order, do.IdentifyPeer) for order in rig.orders), "a gateway may be starting"
        rig.advance(1)
        rig.accept()
        rig.end("EOF", before_any_byte=True)
    assert (rig.state, rig.machine.failure) == (S.FAILED, rig.peer)


def test_who_closes_before_any_byte_for_everybody_is_closed(rig):
    rig.connect()
    for _ in range(3):
        rig.accept()
        rig.end("EOF", before_any_byte=True)
        rig.advance(1)
    assert (rig.state, rig.machine.failure.kind, rig.machine.attempts_made) == (S.FAILED, K.CLOSED, 3)
    assert len([order for order in rig.orders if isinstance(order, do.IdentifyPeer)]) == 1


@pytest.mark.parametrize("how", ["nothing found", "too slow"])
def test_who_is_silent_to_everybody_is_silent(silent, how):
    silent.end()
    if how == "too slow":
        silent.advance(1)
    else:
        silent.event(PeerIdentified(1, None))
    assert silent.machine.failure.kind is K.SILENT
    assert silent.machine.phase is P.WAITING


def test_one_look_at_the_port_is_sufficient(silent):
    silent.event(PeerIdentified(1, None))
    silent.end()
    for _ in range(2):
        silent.advance(1)
        silent.accept()
        silent.advance(5)
        silent.end()
    assert silent.state is S.FAILED
    assert [order for order in silent.orders if isinstance(order, do.IdentifyPeer)] == [do.IdentifyPeer(1, 7497)]


def test_who_waits_does_not_look_because_of_an_end(rig):
    rig.connect(None)
    for _ in range(10):
        rig.accept()
        rig.end("EOF", before_any_byte=True)
        rig.advance(1)
    assert not any(isinstance(order, do.IdentifyPeer) for order in rig.orders)


def test_old_orders_may_be_reported_during_a_look(silent):
    order = SentOrder(5, "DU1234567", 265598, "AAPL", "BUY", 100.0, "MKT", "", has_left=True)
    silent.event(UnconfirmedOrdersChanged((order,)))
    assert silent.status.unconfirmed == (order,)
    silent.jump(60.0)
    assert silent.machine.is_identifying_peer


def test_who_waits_for_a_gateway_learns_what_is_in_its_place_and_waits_on(rig):
    rig.answers_looks = False
    rig.connect(None)
    rig.accept()
    rig.advance(5)
    rig.event(PeerIdentified(1, WEB_SERVER))
    assert (rig.state, rig.status.last_error) == (S.CONNECTING, "not_a_gateway: a web server (HTTP) answers")


def test_after_a_session_it_is_known_what_is_there(ready):
    ready.end()
    ready.accept()
    ready.advance(5)
    assert not [order for order in ready.orders if isinstance(order, do.IdentifyPeer)]


def test_a_disconnect_does_not_wait_for_the_look(silent):
    silent.end()
    silent.disconnect()
    silent.event(PeerIdentified(1, WEB_SERVER))
    assert (silent.state, silent.running) == (S.DISCONNECTED, {})


# --- the client id


def test_a_program_that_waits_for_its_own_old_session_has_short_waits_and_an_alert(rig):
    """The machine has restarted, and the gateway still holds the old session."""
    rig.connect(None)
    for _ in range(76):
        rig.code(326)
        rig.end()
        rig.advance(max(0.0, rig.timers[Timer.RETRY] - rig.mono))
    assert "client id 7 as in use (326)" in rig.status.alert
    rig.open_session()
    assert not rig.status.alert
