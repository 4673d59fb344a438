"""The status: the design's table of states, row by row; and its JSON form."""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, replace
from datetime import timedelta
from itertools import product

import pytest

from ibkr.core.errors import Failure
from ibkr.core.errors import FailureKind as K
from ibkr.core.events import ConnectRequested, LostStream, SubscriptionsChanged, TransportClosed
from ibkr.core.machine_state import Identity, MachineState
from ibkr.core.machine_state import Phase as P
from ibkr.core.policy import Policy
from ibkr.core.states import ConnectionState as S
from ibkr.core.states import FarmState, Feed, SessionState
from ibkr.core.states import UpstreamState as U
from ibkr.core.status import MaintenanceWindow
from ibkr.core.status_fields import derive_state, status_fields

UP = (P.STARTUP, P.RESTORING, P.UP)
LACKS = {
    "nothing": {},
    "an answer": {"missing": {"positions"}},
    "a subscription": {"refused": (LostStream(1, None, "AAPL (354)", 354),)},
    "a farm": {"farms": {"usfarm": FarmState.BROKEN}},
    "word of a farm": {"farms": {"eufarm": FarmState.OK}},
}


def state_of(phase, *, had_session=False, **session) -> S:
    farms = session.pop("farms", {"usfarm": FarmState.OK})
    situation = known(phase=phase, had_session=had_session)
    vars(situation.session).update(farms=farms, **session)
    return derive_state(situation, Policy(required_farms=("usfarm",)))[0]


def known(**events) -> MachineState:
    situation = MachineState(7497)
    vars(situation).update(events)
    return situation


@pytest.mark.parametrize("phase", list(P))
def test_the_first_line_that_holds_wins(phase):
    for had_session, upstream, suspect, (name, lacks) in product((False, True), U, (False, True), LACKS.items()):
        lines = [
            (phase is P.IDLE, S.DISCONNECTED),
            (phase is P.FAILED, S.FAILED),
            (phase not in UP and not had_session, S.CONNECTING),
            (phase not in UP and had_session, S.RECONNECTING),
            (upstream is U.DOWN or suspect, S.DEGRADED),
            (phase in (P.STARTUP, P.RESTORING) or upstream is U.UNKNOWN, S.SYNCING),
            (bool(lacks), S.DEGRADED),
            (True, S.READY),
        ]
        wanted = next(state for holds, state in lines if holds)
        found = state_of(phase, had_session=had_session, upstream=upstream, suspect=suspect, **lacks)
        assert found is wanted, f"{had_session=} {upstream=} {suspect=} lacks {name}"


def test_every_state_has_its_reason():
    failed = known(phase=P.FAILED, failure=Failure(K.CLOSED, "closed"))
    assert derive_state(failed, Policy())[1] == "closed"
    assert derive_state(known(phase=P.FAILED, broken_off="a mistake of ours"), Policy())[1] == "a mistake of ours"
    waiting = known(phase=P.WAITING, failure=Failure(K.CLOSED, "closed"), attempts_made=3, lost_because="EOF")
    assert derive_state(waiting, Policy())[1] == "session lost: EOF; closed"
    waiting.phase = P.OPENING
    assert derive_state(waiting, Policy())[1] == "session lost: EOF; closed"


@pytest.mark.parametrize(
    ("phase", "session"),
    [
        (P.IDLE, SessionState.NONE),
        (P.FAILED, SessionState.NONE),
        (P.WAITING, SessionState.NONE),
        (P.CLOSING, SessionState.NONE),
        (P.OPENING, SessionState.OPENING),
        (P.STARTUP, SessionState.UP),
        (P.RESTORING, SessionState.UP),
        (P.UP, SessionState.UP),
    ],
)
def test_the_axis_of_the_socket(rig, bring, phase, session):
    bring(rig, phase)
    assert rig.status.session is session
    assert rig.status.is_connected is (phase in (P.RESTORING, P.UP))
    assert rig.status.may_trade is (phase in (P.RESTORING, P.UP))
    assert bool(rig.status.may_trade_reason) is not rig.status.may_trade
    if session is not SessionState.UP:
        assert rig.status.may_trade_reason == rig.status.reason


def test_it_is_frozen(ready):
    with pytest.raises(FrozenInstanceError):
        ready.status.state = S.FAILED


def test_when_it_was_looked_at_is_not_compared(ready):
    status = ready.status
    assert replace(status, as_of=status.as_of + timedelta(1), upstream_notices=9) == status
    assert replace(status, since=status.since + timedelta(1)) != status
    assert status != str(status)


def test_in_words(ready):
    assert str(ready.status) == "READY (session and upstream up); may trade"
    ready.code(1100)
    assert str(ready.status) == "DEGRADED (the gateway has lost its link to IB's servers); may not trade"


def test_as_plain_data(ready):
    ready.end("EOF")
    ready.refuse()
    plain = ready.status.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain == {
        "state": "RECONNECTING",
        "reason": "session lost: EOF; connection refused",
        "since": "2026-03-02T14:30:00.000+00:00",
        "as_of": "2026-03-02T14:30:00.000+00:00",
        "may_trade": False,
        "may_trade_reason": "session lost: EOF; connection refused",
        "is_connected": False,
        "endpoint": "127.0.0.1:7497",
        "client_id": 7,
        "server_version": None,
        "accounts": [],
        "read_only": False,
        "session": "none",
        "upstream": "unknown",
        "farms": {},
        "attempt": 1,
        "next_retry_at": "2026-03-02T14:30:00.250+00:00",
        "outages": 1,
        "last_error": "unreachable: connection refused",
        "unconfirmed": [],
        "upstream_notices": 0,
        "maintenance": None,
        "alert": "",
        "gateway": None,
        "halted": "",
        "journal_trouble": "",
        "lease": None,
    }


def test_the_axes_as_plain_data(ready):
    plain = ready.status.to_dict()
    assert (plain["session"], plain["upstream"], plain["farms"]) == ("up", "up", {"usfarm": "ok"})
    assert (plain["next_retry_at"], plain["server_version"]) == (None, 178)


def test_account_ids_are_masked_wherever_they_stand(ready):
    told = "account values of DU1234567 and X_99"
    status = replace(
        ready.status, accounts=("DU1234567", "X_99"), reason=told, may_trade_reason=told, last_error=f"silent: {told}"
    )
    masked = "account values of DU***67 and ***"
    plain = status.to_dict()
    assert plain["accounts"] == ["DU***67", "***"]
    assert (plain["reason"], plain["may_trade_reason"], plain["last_error"]) == (masked, masked, f"silent: {masked}")
    shown = status.to_dict(show_accounts=True)
    assert (shown["accounts"], shown["reason"]) == (["DU1234567", "X_99"], told)


@pytest.mark.parametrize("carried", [copy.copy, copy.deepcopy, lambda status: pickle.loads(pickle.dumps(status))])
def test_a_status_goes_to_another_process_and_stays_as_it_is(ready, carried):
    ready.end("EOF")
    ready.refuse()
    status = ready.status
    assert None not in (status.outage, status.failure)
    there = carried(status)
    assert there == status
    assert there.to_dict() == status.to_dict()
    with pytest.raises(TypeError):
        there.farms["usfarm"] = FarmState.BROKEN


def test_the_codes_behind_a_reason(ready):
    assert ready.status.codes == ()
    ready.code(1100)
    assert ready.status.codes == (1100,)
    ready.link_back()
    ready.code(100)
    withheld = SubscriptionsChanged(1, 0, withheld=(LostStream(1, Feed.MARKET, "AAPL"),))
    ready.event(withheld)
    assert (ready.state, ready.status.codes) == (S.READY, (10197, 100))
    lost = {
        "refused": (
            LostStream(1, None, "AAPL (354)", 354),
            LostStream(2, None, "MSFT (354)", 354),
            LostStream(3, None, "IBM (KeyError)"),
        ),
        "ended": (LostStream(4, Feed.MARKET, "ES (10182)", 10182),),
    }
    ready.code(2103, "usfarm")  # while the farm is broken, an ended stream is not requested again
    ready.event(replace(withheld, **lost))
    assert (ready.state, ready.status.codes) == (S.DEGRADED, (354, 10182))
    ready.advance(5)
    ready.advance(1)
    assert (ready.status.session, ready.status.codes) == ("suspect", ())
    ready.end()
    assert (ready.state, ready.status.codes) == (S.RECONNECTING, ())


@pytest.mark.parametrize("missing", ["degrade", "report"])
def test_the_codes_of_what_is_only_reported(new_rig, missing):
    rig = new_rig(missing_subscriptions=missing, required_farms=("usfarm",))
    rig.connect()
    rig.come_up()
    rig.event(SubscriptionsChanged(1, 0, (LostStream(1, None, "AAPL (354)", 354),)))
    assert rig.status.codes == (354,)
    rig.code(2103, "usfarm")
    assert (rig.state, rig.status.codes) == (S.DEGRADED, (354,) if missing == "degrade" else ())


def test_the_last_failed_attempt_is_there_until_a_session_comes(ready):
    ready.end("EOF")
    assert ready.status.failure is None
    ready.refuse()
    assert (ready.status.failure, ready.status.last_error) == (
        Failure(K.UNREACHABLE, "connection refused"),
        "unreachable: connection refused",
    )
    ready.advance(1)
    ready.open_session()
    assert (ready.status.failure, ready.status.last_error) == (None, "")


def test_the_same_problem_in_a_window_and_outside_of_it(ready):
    ready.code(1100)
    lost = ready.status
    ready.machine._state.maintenance = MaintenanceWindow("reset", lost.since, lost.since + timedelta(hours=1))
    ready.machine.step(ConnectRequested(None), ready.now)
    assert ready.status.reason == f"{lost.reason} (expected: {ready.status.maintenance})"
    assert ready.status.trouble == lost.trouble == lost.reason


@pytest.mark.parametrize("phase", [P.OPENING, P.STARTUP, P.UP])
def test_an_end_without_a_word_allows_no_orders_and_has_a_reason(new_rig, bring, phase):
    rig = new_rig()
    bring(rig, phase, attempts=1)
    rig.end("")
    assert (rig.status.may_trade, "the cause is unknown" in rig.status.reason) == (False, True)
    assert rig.status.may_trade_reason == rig.status.reason


def test_words_alone_never_allow_an_order():
    situation = known(phase=P.FAILED)
    view = status_fields(situation, Identity("here", 1, 7), Policy())
    assert (view["may_trade"], view["may_trade_reason"]) == (False, "stopped trying")


EVIL = "\x1b[2J\x07\nforged"


def test_no_control_character_of_the_gateway_s_gets_into_the_status(ready):
    ready.farms((2103, f"Market data farm connection is broken:us{EVIL}farm"))
    ready.moved(0, f"AAPL (354 {EVIL})")
    assert "354" in ready.status.reason
    seen = [ready.status]
    ready.end(f"closed {EVIL}")
    seen.append(ready.status)
    ready.refuse(detail=f"refused {EVIL}")
    seen += [ready.status]
    ready.machine.break_off(f"a mistake {EVIL}", ready.now)
    seen += [ready.status]
    for status in seen:
        told = (str(status), status.may_trade_reason, status.last_error, *status.farms, str(status.failure))
        assert all(text.isprintable() for text in told), told
    assert len({status.reason for status in seen}) == 4


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        ("first attempt", "the gateway closed the connection"),
        ("later", "session lost: reset; the gateway closed the connection"),
    ],
)
def test_the_end_of_an_attempt_is_no_lost_session(rig, phase, reason):
    rig.connect(attempts=None)
    if phase == "later":
        rig.come_up()
        rig.end("reset")
    rig.event(TransportClosed(rig.attempt, "the gateway closed the connection"))
    rig.end()
    assert rig.status.reason == reason
