"""The data farms: which are broken?"""

from __future__ import annotations

from ibkr.core.codes import Reaction, farm_name, reaction
from ibkr.doctor.api import Notice, Session, notice_of
from ibkr.doctor.check import Check, advised, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "farms"
_SECONDS = 0.1
"""For the rest of the notices, which come in a row."""
_WORDS = {
    Reaction.FARM_OK: "",
    Reaction.FARM_INACTIVE: " (inactive)",
    Reaction.FARM_CONNECTING: " (connecting)",
    Reaction.FARM_BROKEN: " (broken)",
}


async def _look(patient: Patient) -> list[Finding]:
    session = patient.open_session
    await session.until(lambda message: notice_of(message) is None, _SECONDS)
    farms = _farms(session)
    if not farms:
        return ok(_NAME, "none told yet")
    broken = {name: notice for name, notice in farms.items() if reaction(notice.code) is Reaction.FARM_BROKEN}
    listed = ", ".join(f"{name}{_WORDS[reaction(notice.code)]}" for name, notice in farms.items())
    missing = [name for name in patient.ibkr.policy.required_farms if name not in farms]
    if broken:
        codes = ", ".join(str(code) for code in sorted({notice.code for notice in broken.values()}))
        message = f"broken: {', '.join(broken)} ({codes}); all: {listed}"
        return warn(_NAME, "farm_broken", message, advised(next(iter(broken.values())).code))
    if missing:
        message = f"the gateway does not name the required farm {', '.join(missing)}; it names: {listed}"
        advice = "Correct required_farms, or ask for data of that farm once: some connect on demand."
        return warn(_NAME, "farm_missing", message, advice)
    return ok(_NAME, listed)


def _farms(session: Session) -> dict[str, Notice]:
    """The last notice about each farm."""
    found = {}
    for notice in session.notices:
        if reaction(notice.code) in _WORDS and (name := farm_name(notice.text)):
            found[name] = notice
    return found


CHECK = Check(_NAME, "Data farms", _look, needs=("session", "upstream"))
