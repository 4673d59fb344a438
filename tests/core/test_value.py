"""Values are frozen dataclasses to whoever uses them."""

import copy
import inspect
import pickle
from collections.abc import Mapping
from dataclasses import MISSING, FrozenInstanceError, field, fields, is_dataclass, replace
from types import MappingProxyType

import pytest

from ibkr.core.effects import Probe
from ibkr.core.facts import Heard, SocketEnded, TimerFired
from ibkr.core.settings import Connection
from ibkr.core.value import Value


def test_the_same_however_it_is_made():
    ended = SocketEnded(1, "gone")
    again = SocketEnded(before_any_byte=False, detail="gone", attempt=1)
    assert ended == again
    assert hash(ended) == hash(again)
    assert (
        repr(ended) == repr(again) == "SocketEnded(attempt=1, detail='gone', before_any_byte=False, unanswered=False)"
    )
    assert replace(ended, detail="lost") == SocketEnded(1, "lost", before_any_byte=False)
    assert [field.name for field in fields(ended)] == ["attempt", "detail", "before_any_byte", "unanswered"]
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


def test_what_is_asked_of_a_dataclass_is_there_for_every_value():
    kinds = [Value]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(kinds) > 50
    for kind in kinds[1:]:
        assert is_dataclass(kind)
        assert [field.name for field in fields(kind)] == list(kind.__match_args__)
        assert {field.name for field in fields(kind) if field.default is not MISSING} <= kind._defaults.keys()


def test_a_default_that_a_factory_makes_is_the_same_for_all():
    class Made(Value):
        row: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    assert Made().row is Made().row == {}


def test_copy_replace_needs_nobody_to_have_asked_for_the_fields():
    class Unasked(Value):
        number: int

    assert Unasked(1).__replace__(number=2) == Unasked(2)  # what Python's copy.replace calls, from 3.13 on


def test_help_shows_how_to_make_what_a_program_makes():
    assert str(inspect.signature(Connection)).startswith("(host='127.0.0.1', port=7497, client_id=1, timeout=5.0, ")
