"""Runs the checks in order, and skips every check that depends on a failed one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

from ibkr.core.account_masking import mask_accounts
from ibkr.core.errors import FailureKind
from ibkr.doctor.check import Check, Finding, Level, fail
from ibkr.doctor.context import Context


async def run_checks(
    context: Context, checks: Sequence[Check], on_start: Callable[[Check], None] = lambda check: None
) -> AsyncGenerator[Finding, None]:
    """Yield the findings of each check as soon as they are known.

    Every connection that a check has opened is closed when the generator is exhausted or closed.

    Args:
        context: What the checks know; each check adds to it.
        checks: The checks in order.
        on_start: Called with each check before it runs.
    """
    async with context.open_connections:
        for check in checks:
            for finding in await _run(context, check, on_start):
                if finding.level in (Level.FAIL, Level.SKIPPED):
                    context.failed.add(check.name)
                yield _masked(replace(finding, check=check.name), context)


async def _run(context: Context, check: Check, on_start: Callable[[Check], None]) -> list[Finding]:
    unmet = next((name for name in check.needs if name in context.failed), None)
    if unmet is not None:
        return [Finding(Level.SKIPPED, f"needs: {unmet}")]
    on_start(check)
    try:
        return await check.run(context)
    except OSError as error:  # such as ConnectionEnded, or a port that was open a moment ago and now refuses
        context.failed.add("session")
        message = f"the gateway closed the connection during this check: {error}"
        advice = "It may be restarting. Run this again in a minute, and look at the gateway's log."
        return fail(str(FailureKind.CLOSED), message, advice)


def _masked(finding: Finding, context: Context) -> Finding:
    """Mask the account ids, unless the configuration says to show them."""
    if context.config is not None and context.ibkr.show_accounts:
        return finding
    known = context.session.accounts if context.session else ()
    return replace(finding, message=mask_accounts(finding.message, known), advice=mask_accounts(finding.advice, known))
