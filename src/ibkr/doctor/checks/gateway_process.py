"""The gateway's process: can its driver work, and how does the process stand?"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from ibkr.core.gateway import GatewayState
from ibkr.doctor.check import Check, fail, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

if TYPE_CHECKING:
    from ibkr.gateway.driver import Driver

_NAME = "gateway_process"
_KIND = "configuration"


async def _look(patient: Patient) -> list[Finding]:
    settings = patient.ibkr.gateway
    if not settings.driver:
        return ok(_NAME, "no driver is configured: the gateway is started by somebody else")
    import sqlite3  # with what follows, it would slow down every other command

    from ibkr.gateway.driver import DriverError
    from ibkr.gateway.drivers import make_driver
    from ibkr.gateway.store import GatewayStore

    try:
        with closing(GatewayStore(settings)) as store:
            return await _findings(make_driver(settings, store))
    except (DriverError, OSError, sqlite3.Error) as error:
        return fail(_NAME, _KIND, f"the driver {settings.driver} cannot be used: {error}", "See gateway.state_dir.")


async def _findings(driver: Driver) -> list[Finding]:
    from ibkr.gateway.monitor import look

    problems = await driver.problems()
    found = []
    for problem in problems:
        report = fail if problem.is_fatal else warn
        found += report(_NAME, _KIND, problem.message, problem.cure)
    if any(problem.is_fatal for problem in problems):
        return found
    status = await look(driver)
    words = f"driver {driver.settings.driver}; {status.reason or 'the gateway is running'}; "
    words += "a supervisor runs" if driver.store.is_claimed() else "no supervisor runs"
    if status.state in (GatewayState.RUNNING, GatewayState.STARTING, GatewayState.RESTARTING):
        return [*found, *ok(_NAME, words)]
    return [*found, *warn(_NAME, str(status.state), words, status.advice)]


CHECK = Check(_NAME, "Gateway process", _look, needs=("configuration",))
