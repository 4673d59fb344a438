"""The run: every check in its order; what depends on a failed one is skipped."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from ibkr.core.errors import FailureKind
from ibkr.doctor.check import Check, fail, skipped
from ibkr.doctor.finding import Finding, Level
from ibkr.doctor.patient import Patient


async def examine(
    patient: Patient, checks: Sequence[Check], beginning: Callable[[Check], None] = lambda check: None
) -> AsyncGenerator[Finding, None]:
    """The findings, as they come. ``beginning`` is told of each check before it looks.

    Everything that was opened is closed when the generator is exhausted or closed.
    """
    async with patient.lines:
        for check in checks:
            for finding in await _findings(patient, check, beginning):
                if finding.level in (Level.FAIL, Level.SKIPPED):
                    patient.failed.add(check.name)
                yield finding


async def _findings(patient: Patient, check: Check, beginning: Callable[[Check], None]) -> list[Finding]:
    unmet = next((name for name in check.needs if name in patient.failed), None)
    if unmet is not None:
        return skipped(check.name, f"needs: {unmet}")
    beginning(check)
    try:
        found = await check.look(patient)
    except OSError as error:  # SessionEnded, or a port that was open a moment ago
        patient.failed.add("session")
        message = f"the gateway went away in the middle of this: {error}"
        advice = "It may be restarting, or another program restarts it: look again in a minute, and at its log."
        return fail(check.name, str(FailureKind.CLOSED), message, advice)
    return [patient.shown(finding) for finding in found]
