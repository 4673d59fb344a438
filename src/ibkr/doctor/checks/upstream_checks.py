"""Checks behind the gateway: its link to IB's servers (upstream), and the data farms."""

from __future__ import annotations

from ibkr.core.codes import Reaction, Scope, farm_name, find, reaction
from ibkr.doctor.api_client import Message, Notice, Session, parse_notice
from ibkr.doctor.check import Check, Finding, code_advice, fail, ok, warn
from ibkr.doctor.context import Context

_NOTICES_TIMEOUT = 0.1
"""Seconds to wait for more farm notices after one has come. The gateway sends them one after the other."""
_FARM_STATES = {
    Reaction.FARM_OK: "",
    Reaction.FARM_INACTIVE: " (inactive)",
    Reaction.FARM_CONNECTING: " (connecting)",
    Reaction.FARM_BROKEN: " (broken)",
}


async def _check_upstream(context: Context) -> list[Finding]:
    """Is the gateway connected to IB's servers?"""
    session = context.open_session
    if not any(_is_about_upstream(notice.code) for notice in session.notices):
        await session.wait_for(_is_upstream_notice, context.ibkr.policy.upstream_grace)
    last = next((notice for notice in reversed(session.notices) if _is_about_upstream(notice.code)), None)
    if last is None:
        return ok("assumed up: the gateway has sent no message about it")
    if reaction(last.code) is not Reaction.UPSTREAM_LOST:
        return ok("the gateway is connected to IB's servers")
    message = f"the gateway has no link to IB's servers ({last.code})"
    return fail("upstream_down", message, code_advice(last.code))


def _is_about_upstream(code: int) -> bool:
    """Whether a code shows the state of the link. Farm messages come over the link, so they show that it is up."""
    row = find(code)
    return row is not None and row.scope in (Scope.UPSTREAM, Scope.FARM)


def _is_upstream_notice(message: Message) -> bool:
    notice = parse_notice(message)
    return notice is not None and _is_about_upstream(notice.code)


async def _check_farms(context: Context) -> list[Finding]:
    """Which data farms are broken, or missing?"""
    session = context.open_session
    await session.wait_for(lambda message: parse_notice(message) is None, _NOTICES_TIMEOUT)
    farms = _last_notices(session)
    if not farms:
        return ok("the gateway has not named a data farm yet")
    broken = {name: notice for name, notice in farms.items() if reaction(notice.code) is Reaction.FARM_BROKEN}
    listed = ", ".join(f"{name}{_FARM_STATES[reaction(notice.code)]}" for name, notice in farms.items())
    missing = [name for name in context.ibkr.policy.required_farms if name not in farms]
    if broken:
        codes = ", ".join(str(code) for code in sorted({notice.code for notice in broken.values()}))
        message = f"broken: {', '.join(broken)} ({codes}); all: {listed}"
        return warn("farm_broken", message, code_advice(next(iter(broken.values())).code))
    if missing:
        message = f"the gateway does not name the required farm {', '.join(missing)}; it names: {listed}"
        advice = "Correct required_farms, or request data from that farm once: some farms connect on demand."
        return warn("farm_missing", message, advice)
    return ok(listed)


def _last_notices(session: Session) -> dict[str, Notice]:
    """Return the last notice about each farm."""
    found = {}
    for notice in session.notices:
        if reaction(notice.code) in _FARM_STATES and (name := farm_name(notice.text)):
            found[name] = notice
    return found


UPSTREAM = Check("upstream", "Link to IB", _check_upstream, needs=("session",))
FARMS = Check("farms", "Data farms", _check_farms, needs=("session", "upstream"))
