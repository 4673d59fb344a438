"""The configuration: what is in force, where it was set, and what it overrides."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ibkr.config import Given, config_of
from ibkr.core.errors import ConfigError
from ibkr.core.gateway_settings import COMMANDS
from ibkr.doctor.check import Check, fail, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "configuration"
_ALWAYS = ("host", "port", "client_id")
_SECRET = ("account", *(f"gateway.{name}" for name in COMMANDS))


async def _look(patient: Patient) -> list[Finding]:
    ignored = _Ignored()
    logger = logging.getLogger("ibkr.config")
    logger.addHandler(ignored)
    try:
        given = patient.settings()
        patient.cfg = config_of(given)
    except ConfigError as error:
        advice = "Mend this setting: nothing can be looked at before, and a program that reads it ends here."
        return fail(_NAME, "configuration", str(error), advice)
    finally:
        logger.removeHandler(ignored)
    return [*ok(_NAME, _in_words(patient, given)), *ignored.findings]


def _in_words(patient: Patient, given: Mapping[str, tuple[Given, ...]]) -> str:
    keys = [*_ALWAYS, *(key for key in given if key not in _ALWAYS)]
    return "; ".join(f"{key} {_one(patient, key, given.get(key, ()))}" for key in keys)


def _one(patient: Patient, key: str, places: tuple[Given, ...]) -> str:
    hidden = key in _SECRET and not patient.ibkr.show_accounts
    value = "***" if hidden else patient.ibkr[key]
    if not places:
        return f"{value} (default)"
    over = [place.source if hidden else f"{place.value} in {place.source}" for place in places[:-1]]
    overridden = f", overrides {', '.join(over)}" if over else ""
    return f"{value} ({places[-1].source}{overridden})"


class _Ignored(logging.Handler):
    """Variables that look like a misspelt setting, as findings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.findings: list[Finding] = []

    def emit(self, record: logging.LogRecord) -> None:
        advice = "Correct its name, or remove it: a program runs without this setting."
        self.findings += warn(_NAME, "configuration", record.getMessage(), advice)


CHECK = Check(_NAME, "Configuration", _look)
