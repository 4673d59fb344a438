"""Values are frozen dataclasses to whoever uses them."""

import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from ibkr.core.effects import Probe
from ibkr.core.facts import Heard, SocketEnded, TimerFired


def test_the_same_however_it_is_made():
    ended = SocketEnded(1, "gone")
    again = SocketEnded(before_any_byte=False, detail="gone", attempt=1)
    assert ended == again
    assert hash(ended) == hash(again)
    assert repr(ended) == repr(again) == "SocketEnded(attempt=1, detail='gone', before_any_byte=False)"
    assert replace(ended, detail="lost") == SocketEnded(1, "lost", before_any_byte=False)
    assert [field.name for field in fields(ended)] == ["attempt", "detail", "before_any_byte"]
    assert copy.deepcopy(ended) == pickle.loads(pickle.dumps(ended)) == ended


def test_of_another_kind_it_is_another():
    assert Heard(1) != Probe(1)
    assert Heard(1) != Heard(2)


def test_it_stays_as_it_is():
    heard = Heard(1)
    with pytest.raises(FrozenInstanceError, match="attempt"):
        heard.attempt = 2
    with pytest.raises(FrozenInstanceError, match="attempt"):
        del heard.attempt
    assert heard == Heard(1)


def test_it_takes_its_fields_by_place_in_a_pattern():
    match TimerFired("retry", 0.5):
        case TimerFired(timer, late):
            assert (timer, late) == ("retry", 0.5)


@pytest.mark.parametrize(
    ("args", "named"), [((), {}), ((1, 2), {}), ((1,), {"attempt": 1}), ((1,), {"detail": ""}), ((), {"detail": ""})]
)
def test_arguments_that_are_no_fields_are_refused(args, named):
    with pytest.raises(TypeError, match="Heard takes attempt"):
        Heard(*args, **named)
