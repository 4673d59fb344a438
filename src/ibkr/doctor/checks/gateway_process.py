"""The gateway's process: can its driver work, and how does the process stand?"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from ibkr.core.gateway import GatewayState
from ibkr.doctor.check import Check, fail, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient
from ibkr.gateway.driver import Driver, DriverError
from ibkr.gateway.drivers import make_driver
from ibkr.gateway.monitor import look
from ibkr.gateway.store import GatewayStore

_NAME = "gateway_process"
_KIND = "configuration"


async def _look(patient: Patient) -> list[Finding]:
    settings = patient.ibkr.gateway
    if not settings.driver:
        return ok(_NAME, "no driver is configured: the gateway is started by somebody else")
    try:
        with closing(GatewayStore(settings)) as store:
            return await _findings(make_driver(settings, store))
    except (DriverError, OSError, sqlite3.Error) as error:
        return fail(_NAME, _KIND, f"the driver {settings.driver} cannot be used: {error}", "See gateway.state_dir.")


async def _findings(driver: Driver) -> list[Finding]:
    name = driver.settings.driver
    problems = await driver.problems()
    found = []
    for problem in problems:
        report = fail if problem.is_fatal else warn
        found += report(_NAME, _KIND, problem.message, problem.cure)
    if any(problem.is_fatal for problem in problems):
        return found
    status = await look(driver)
    is_supervised = driver.store.is_claimed()
    words = f"driver {name}; {status.reason or 'the gateway is running'}; "
    words += "a supervisor runs" if is_supervised else "no supervisor runs"
    if status.state in (GatewayState.RUNNING, GatewayState.STARTING, GatewayState.RESTARTING):
        return [*found, *ok(_NAME, words)]
    return [*found, *warn(_NAME, str(status.state), words, status.advice)]


CHECK = Check(_NAME, "Gateway process", _look, needs=("configuration",))
