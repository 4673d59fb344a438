"""Every fault of the simulator in every phase of a connection, with its expectation. ``drill`` runs it.

The faults come from the simulator's registry. A new fault is tested automatically, with the expectation of
``Kind.UNKNOWN``. If the fault needs arguments, its tests fail until it has a row in ``ROWS``.

A state is written as a letter, and a sequence of states as a word: ``DCSR`` is a connect, and ``DCSRBSR`` is a connect
and a recovery.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from ibkr.simulator import FAULTS, Fault, Gateway

from .rows import GROUPS, IMPOSSIBLE, LIVED, ROWS, STARTUP, Kind, Row

UNHURT = {"attempt": "SR", "start-up": "R", "ready": "", "recovery": "R"}
"""The rest of the states if the fault does nothing."""
OUT = {"attempt": "", "start-up": "C", "ready": "B", "recovery": "B"}
"""The states after the loss of the socket. If it is lost during a first connect, the attempts continue."""
FIRST = ("attempt", "start-up")
"""The groups in which the caller waits in connect()."""


@dataclass(frozen=True)
class Case:
    """One fault in one phase, and the states that may follow, as words: before the cure and after it."""

    fault: Fault
    phase: str

    def __str__(self) -> str:
        return f"{self.fault.name}-{self.phase}"

    @property
    def group(self) -> str:
        return GROUPS[self.phase]

    @property
    def is_first(self) -> bool:
        return self.group in FIRST

    @property
    def row(self) -> Row:
        row = ROWS.get(self.fault.name)
        if row is not None:
            return row
        lacking = [item.name for item in self.fault.parameters if item.is_required]
        if lacking:
            pytest.fail(
                f"the fault {self.fault.name!r} needs {', '.join(lacking)}: add a row for it to ROWS in"
                f" tests/faults/matrix/rows.py, such as {self.fault.name!r}: Row(Kind.UNKNOWN, arguments=(...,))"
            )
        return Row(Kind.UNKNOWN)

    @property
    def drops(self) -> bool:
        return self.group in self.row.drops

    @property
    def outages(self) -> int:
        """The expected number of outages."""
        return int(self.group == "recovery" or self.row.kind in (Kind.BREAKS, Kind.RESYNCS))

    @property
    def during(self) -> str:
        """The states until the fault shows. If the fault does not last, the states until it is over."""
        group, row = self.group, self.row
        lived, out = LIVED[group], OUT[group]
        gives_up = "F" if self.is_first else ""
        match row.kind:
            case Kind.BREAKS:
                return f"{lived}{out}SR"
            case Kind.REFUSES:
                return f"{lived}{out}{gives_up}"
            case Kind.HALF_OPEN:
                suspect = "" if group == "attempt" else "G"
                return f"{lived}{suspect}{out}{gives_up}"
            case Kind.RESYNCS:
                return f"{lived}SR" if group == "ready" else f"{lived}{UNHURT[group]}"
            case Kind.DEGRADES:
                out = out if self.drops else ""
                start_up = "S" if self.drops or group == "attempt" else ""
                return f"{lived}{out}{start_up}G"
        return f"{lived}{UNHURT[group]}"

    @property
    def after(self) -> tuple[str, ...]:
        """The possible states after the cure, as words. There are several words if the result depends on timing."""
        match self.row.kind:
            case Kind.REFUSES | Kind.HALF_OPEN:
                return ("CSR",) if self.is_first else ("SR",)
            case Kind.DEGRADES if self.fault.name in ("mute", "drop_message"):
                return ("SR",)
            case Kind.DEGRADES if "upstream" in self.fault.name and (self.is_first or self.during == "DCSRG"):
                return ("SR",)  # orders, executions and positions are requested again
            case Kind.DEGRADES if not self.is_first and self.during != "DCSRG":
                return ("R", "SR")  # the cure may come during start-up or restore, or shortly after
            case Kind.DEGRADES:
                return ("R",)
        return ("",)

    @property
    def keeps_socket(self) -> bool:
        """Whether the session that existed when the fault came continues."""
        return self.row.kind in (Kind.HARMLESS, Kind.RESYNCS, Kind.DEGRADES) and not self.drops

    @property
    def is_read_only(self) -> bool:
        """Whether an answer has shown in the final session that the gateway is read-only."""
        asked_later = (*STARTUP[:3], "connection", "hello", "version", "startApi", "recovery")
        return self.fault.name == "read_only" and self.phase in asked_later


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with Gateway(tick_interval=0.02, id_hold=0) as gateway:
        yield gateway


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every fault in each phase of the test's module, without the impossible pairs."""
    if "case" in metafunc.fixturenames:
        cases = [
            Case(fault, phase)
            for phase in metafunc.module.PHASES
            for fault in FAULTS.values()
            if (fault.name, GROUPS[phase]) not in IMPOSSIBLE
        ]
        metafunc.parametrize("case", cases, ids=str)


@pytest.fixture
def case_of() -> Callable[[Fault, str], Case]:
    """Makes a case of a fault and a phase."""
    return Case


@pytest.fixture
def tables() -> tuple[dict[str, Row], dict[tuple[str, str], str], tuple[str, ...]]:
    """The rows, the impossible pairs, and every phase."""
    return ROWS, IMPOSSIBLE, tuple(GROUPS)
