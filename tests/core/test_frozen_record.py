"""Frozen records behave as frozen dataclasses."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Mapping
from dataclasses import MISSING, FrozenInstanceError, field, fields, is_dataclass
from types import MappingProxyType

import pytest

from ibkr.core.connection_settings import ConnectionSettings
from ibkr.core.effects import SendProbe
from ibkr.core.errors import ConfigError
from ibkr.core.events import ProbeAnswered, SocketClosed, TimerFired
from ibkr.core.frozen_record import FrozenRecord, replace


def test_the_same_however_it_is_made():
    ended = SocketClosed(1, "gone")
    again = SocketClosed(before_any_byte=False, detail="gone", attempt=1)
    assert ended == again
    assert hash(ended) == hash(again)
    assert (
        repr(ended) == repr(again) == "SocketClosed(attempt=1, detail='gone', before_any_byte=False, unanswered=False)"
    )
    assert dataclasses.replace(ended, detail="lost") == SocketClosed(1, "lost", before_any_byte=False)
    assert [field.name for field in fields(ended)] == ["attempt", "detail", "before_any_byte", "unanswered"]
    assert copy.deepcopy(ended) == pickle.loads(pickle.dumps(ended)) == ended


def test_of_another_kind_it_is_another():
    assert ProbeAnswered(1) != SendProbe(1)
    assert ProbeAnswered(1) != ProbeAnswered(2)


def test_it_stays_as_it_is():
    heard = ProbeAnswered(1)
    with pytest.raises(FrozenInstanceError, match="attempt"):
        heard.attempt = 2
    with pytest.raises(FrozenInstanceError, match="attempt"):
        del heard.attempt
    assert heard == ProbeAnswered(1)


def test_it_takes_its_fields_by_place_in_a_pattern():
    match TimerFired("retry", 0.5):
        case TimerFired(timer, late):
            assert (timer, late) == ("retry", 0.5)


@pytest.mark.parametrize(
    ("args", "named"), [((), {}), ((1, 2), {}), ((1,), {"attempt": 1}), ((1,), {"detail": ""}), ((), {"detail": ""})]
)
def test_arguments_that_are_no_fields_are_refused(args, named):
    with pytest.raises(TypeError, match="ProbeAnswered takes attempt"):
        ProbeAnswered(*args, **named)


def test_what_is_asked_of_a_dataclass_is_there_for_every_value():
    kinds = [FrozenRecord]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert len(kinds) > 50
    for kind in kinds[1:]:
        assert is_dataclass(kind)
        assert [field.name for field in fields(kind)] == list(kind.__match_args__)
        assert {field.name for field in fields(kind) if field.default is not MISSING} <= kind._defaults.keys()


def test_a_default_that_a_factory_makes_is_the_same_for_all():
    class Made(FrozenRecord):
        row: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    assert Made().row is Made().row == {}


def test_a_record_with_other_fields():
    ended = SocketClosed(1, "gone")
    assert replace(ended, detail="lost") == SocketClosed(1, "lost")
    assert ended == SocketClosed(1, "gone")
    with pytest.raises(TypeError, match="SocketClosed has no cause, why"):
        replace(ended, why="", cause="")
    with pytest.raises(ConfigError, match="port"):
        replace(ConnectionSettings(), port=-1)


def test_copy_replace_needs_nobody_to_have_requested_the_fields():
    class Unasked(FrozenRecord):
        number: int

    assert Unasked(1).__replace__(number=2) == Unasked(2)  # from Python 3.13 on, copy.replace calls this


def test_help_shows_how_to_make_what_a_program_makes():
    assert str(inspect.signature(ConnectionSettings)).startswith(
        "(host='127.0.0.1', port=7497, client_id=1, timeout=5.0, "
    )
