"""Checks of this computer's setup: configuration, libraries, gateway process and maintenance windows."""

from __future__ import annotations

import logging
import platform
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ibkr.config import Setting, config_of
from ibkr.core.errors import ConfigError
from ibkr.core.gateway_settings import COMMANDS
from ibkr.core.gateway_status import GatewayState
from ibkr.core.status import MaintenanceWindow
from ibkr.doctor.check import Check, Finding, fail, ok, warn
from ibkr.doctor.context import Context
from ibkr.session.library.contract import differences
from ibkr.session.library.packages import CURE, is_older_eventkit, load, protocol_versions

if TYPE_CHECKING:
    from ibkr.gateway.driver_interface import GatewayDriver

_CONFIGURATION = "configuration"
_CLIENT_LIBRARY = "client_library"
_ALWAYS_SHOWN = ("host", "port", "client_id")
_SECRET = ("account", "fleet.servers", *(f"gateway.{name}" for name in COMMANDS))
_PACKAGES = ("ibkr-connector", "ib_async", "aeventkit", "ib_insync", "eventkit")


async def _check_configuration(context: Context) -> list[Finding]:
    """Which settings are in force, where are they set, and what do they override?"""
    ignored = _IgnoredSettings()
    logger = logging.getLogger("ibkr.config")
    logger.addHandler(ignored)
    try:
        given = context.read_settings()
        context.config = config_of(given)
    except ConfigError as error:
        advice = "Correct this setting. Until then no other check can run, and your program stops with this error."
        return fail(_CONFIGURATION, str(error), advice)
    finally:
        logger.removeHandler(ignored)
    keys = [*_ALWAYS_SHOWN, *(key for key in given if key not in _ALWAYS_SHOWN)]
    return [*ok("; ".join(_setting_text(context, key, given) for key in keys)), *ignored.findings]


def _setting_text(context: Context, key: str, given: Mapping[str, tuple[Setting, ...]]) -> str:
    places = given.get(key, ())
    hidden = key in _SECRET and not context.ibkr.show_accounts
    value = "***" if hidden else context.ibkr[key]
    if not places:
        return f"{key} {value} (default)"
    over = [place.source if hidden else f"{place.value} in {place.source}" for place in places[:-1]]
    overrides = f", overrides {', '.join(over)}" if over else ""
    return f"{key} {value} ({places[-1].source}{overrides})"


class _IgnoredSettings(logging.Handler):
    """Turns the warnings about misspelt variables into findings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.findings: list[Finding] = []

    def emit(self, record: logging.LogRecord) -> None:
        advice = "Correct its name, or remove it. A program ignores it."
        self.findings += warn(_CONFIGURATION, record.getMessage(), advice)


async def _check_libraries(context: Context) -> list[Finding]:
    """Can the client library be loaded, is it a known version, and which ``eventkit`` is installed?"""
    installed = {name: found for name in _PACKAGES if (found := _installed_version(name))}
    versions = f"Python {platform.python_version()}, " + ", ".join(f"{name} {each}" for name, each in installed.items())
    backend = context.ibkr.backend
    try:
        context.versions = protocol_versions(backend)
        is_older = is_older_eventkit()
    except (ConfigError, ImportError, AttributeError) as error:
        # An AttributeError means that the files of two eventkit versions are mixed.
        message = f"the client library {backend} cannot be loaded: {error} ({versions})"
        return fail(_CLIENT_LIBRARY, message, f"Reinstall it, and then only the newer eventkit: {CURE}")
    package, differing = load(backend), differences(backend)
    cure = f"Install the version that ibkr was written for: python -m pip install '{backend}=={package.known}'"
    if differing:
        message = f"{backend} differs from the versions that ibkr relies on: {'; '.join(differing[:3])} ({versions})"
        return fail(_CLIENT_LIBRARY, message, cure)
    if is_older:
        message = f"the module eventkit is the older one, which fails in threads and from Python 3.14 on ({versions})"
        return warn(_CLIENT_LIBRARY, message, f"Keep only the newer one: {CURE}")
    if package.version != package.known:
        message = f"this version of {backend} is not known, but has everything that ibkr relies on ({versions})"
        return warn(_CLIENT_LIBRARY, message, cure)
    return ok(versions)


def _installed_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


async def _check_gateway_process(context: Context) -> list[Finding]:
    """Can the driver of the gateway's process work, and does the process run?"""
    settings = context.ibkr.gateway
    if not settings.driver:
        return ok("no driver is configured: ibkr does not start or restart the gateway")
    # At the top of the file, these imports would slow down every other command.
    from ibkr.gateway.driver_interface import DriverError
    from ibkr.gateway.drivers import make_driver
    from ibkr.gateway.gateway_store import GatewayStore
    from ibkr.gateway.store_errors import STORE_ERRORS, store_error_text

    message = f"the driver {settings.driver} cannot be used: "
    try:
        with closing(GatewayStore(settings)) as store:
            return await _driver_findings(make_driver(settings, store))
    except (ConfigError, DriverError) as error:
        message += str(error)
    except STORE_ERRORS as error:
        message += store_error_text(error)
    return fail(_CONFIGURATION, message, "Do what the message says, then run this again.")


async def _driver_findings(driver: GatewayDriver) -> list[Finding]:
    from ibkr.gateway.gateway_monitor import read_gateway_status

    problems = await driver.problems()
    findings = []
    for problem in problems:
        report = fail if problem.is_fatal else warn
        findings += report(_CONFIGURATION, problem.message, problem.cure)
    if any(problem.is_fatal for problem in problems):
        return findings
    status = await read_gateway_status(driver)
    message = f"driver {driver.settings.driver}; {status.reason or 'the gateway is running'}; "
    message += "a supervisor runs" if driver.store.is_supervised() else "no supervisor runs"
    if status.state in (GatewayState.RUNNING, GatewayState.STARTING, GatewayState.RESTARTING):
        return [*findings, *ok(message)]
    return [*findings, *warn(str(status.state), message, status.advice)]


async def _check_maintenance(context: Context) -> list[Finding]:
    """Is a maintenance window open now, and when does the next window open?"""
    calendar = context.ibkr.policy.calendar(ZoneInfo)
    current, until = calendar.window_at(datetime.now(UTC))
    if current is not None:
        advice = f"It may explain a failure above. Run this again after {current.end:%H:%M} UTC."
        return warn("maintenance", f"a maintenance window is open: {current}", advice)
    coming = calendar.window_at(until)[0] if until is not None else None
    return ok(f"none now; next: {_window_text(coming)}" if coming else "no window is configured (region = none)")


def _window_text(window: MaintenanceWindow) -> str:
    return f"{window.name} {window.start:%a %H:%M} to {window.end:%a %H:%M} UTC"


CONFIGURATION = Check("configuration", "Configuration", _check_configuration)
LIBRARIES = Check("libraries", "Python and libraries", _check_libraries, needs=("configuration",))
GATEWAY_PROCESS = Check("gateway_process", "Gateway process", _check_gateway_process, needs=("configuration",))
MAINTENANCE = Check("maintenance", "Maintenance windows", _check_maintenance, needs=("configuration",))
