"""Deadlines of one-shot requests: their values, and which request has which."""

from typing import Any

import pytest

from ibkr.core.deadline_settings import OFF, Deadlines, one_shot_request, request_named
from ibkr.core.errors import ConfigError
from ibkr.core.policy import Policy


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "soon", True])
def test_what_is_no_deadline_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"ibkr.deadlines.history.*greater than 0"):
        Deadlines(history=value)
    with pytest.raises(ConfigError, match=r"ibkr.deadlines"):
        Policy(deadlines=5)  # type: ignore[arg-type]


def test_they_can_be_switched_off_one_by_one_and_altogether():
    assert Deadlines(history=None).history is None
    assert Policy(deadlines=None).request_deadlines == OFF
    assert Policy().request_deadlines == Deadlines() == Deadlines(30.0, 30.0, 30.0, 120.0, 120.0)


def test_each_request_has_a_name_and_a_kind():
    told = one_shot_request("20\x003\x00AAPL\x00")
    assert (told.name, told.kind, told.cancel) == ("reqHistoricalData", "history", "cancelHistoricalData")
    assert one_shot_request("78\x003\x00").kind == "option_chains"
    assert request_named("reqScannerSubscription") == one_shot_request("22\x00")
    assert request_named("reqPnL").kind == "reference"
    assert (one_shot_request("999\x001\x00").name, one_shot_request("999\x001\x00").kind) == (
        "request 999",
        "reference",
    )
