"""Upstream: has the gateway its link to IB's servers?"""

from __future__ import annotations

from ibkr.core.codes import Reaction, Scope, find, reaction
from ibkr.doctor.api import Message, notice_of
from ibkr.doctor.check import Check, advised, fail, ok
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "upstream"
_LOST = Reaction.UPSTREAM_LOST


async def _look(patient: Patient) -> list[Finding]:
    session = patient.open_session
    if not any(_tells(notice.code) for notice in session.notices):
        await session.until(_is_told, patient.ibkr.policy.upstream_grace)
    last = next((notice for notice in reversed(session.notices) if _tells(notice.code)), None)
    if last is None:
        return ok(_NAME, "assumed up: the gateway has not said")
    if reaction(last.code) is not _LOST:
        return ok(_NAME, "the gateway is connected to IB's servers")
    message = f"the gateway has no link to IB's servers ({last.code})"
    return fail(_NAME, "upstream_down", message, advised(last.code))


def _tells(code: int) -> bool:
    """Whether a code tells how the link is; word of a farm comes over it."""
    row = find(code)
    return row is not None and row.scope in (Scope.UPSTREAM, Scope.FARM)


def _is_told(message: Message) -> bool:
    notice = notice_of(message)
    return notice is not None and _tells(notice.code)


CHECK = Check(_NAME, "Link to IB", _look, needs=("session",))
