"""The fault matrix itself: new faults are tested automatically, and rows name only existing faults."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ibkr.simulator import FAULTS, Fault
from ibkr.simulator.faults.fault_registry import Parameter

CaseOf = Callable[[Fault, str], Any]


def _joins(name: str, like: str, *parameters: Parameter) -> Fault:
    """A fault that is added to the registry later; it does what another fault does."""
    return Fault(name, parameters, "New.", FAULTS[like].method)


def test_there_are_at_least_eighty_pairs(tables: Any) -> None:
    _, impossible, phases = tables
    assert len(FAULTS) * len(phases) - 4 * len(impossible) >= 80


def test_every_phase_has_a_file(tables: Any) -> None:
    files = [path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert [phase for phase in tables[2] if text.count(f'"{phase}"') != 1] == []


def test_rows_and_impossible_pairs_name_faults_that_there_are(tables: Any) -> None:
    rows, impossible, _ = tables
    assert {*rows, *(name for name, _ in impossible)} <= set(FAULTS)
    assert all(reason for reason in impossible.values())


def test_a_new_fault_with_arguments_asks_for_its_row(case_of: CaseOf) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"'eclipse' needs moon: add a row for it to ROWS"):
        case_of(_joins("eclipse", "reset", Parameter("moon", str)), "READY").row  # noqa: B018


TRIED = ("hello", "reqPositions", "READY", "recovery", "disconnect")


@pytest.mark.parametrize(("like", "phase"), list(itertools.product(["reset", "silent", "thaw"], TRIED)))
async def test_a_new_fault_is_tried(
    like: str, phase: str, case_of: CaseOf, drill: Callable[[Any], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = _joins("eclipse", like)
    monkeypatch.setitem(FAULTS, "eclipse", fault)
    await drill(case_of(fault, phase))
