"""Python, this package and the client library: their versions, and which ``eventkit`` is there."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from ibkr.core.errors import ConfigError
from ibkr.doctor.check import Check, fail, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient
from ibkr.session.library.contract import differences
from ibkr.session.library.packages import CURE, is_older_eventkit, load, spoken_versions

_NAME = "libraries"
_SHOWN = ("ibkr-connector", "ib_async", "aeventkit", "ib_insync", "eventkit")


async def _look(patient: Patient) -> list[Finding]:
    there = {name: found for name in _SHOWN if (found := _version(name))}
    versions = f"Python {platform.python_version()}, " + ", ".join(f"{name} {each}" for name, each in there.items())
    backend = patient.ibkr.backend
    try:
        patient.versions = spoken_versions(backend)
        is_older = is_older_eventkit()
    except (ConfigError, ImportError, AttributeError) as error:
        # Half of one eventkit and half of another fail in the last way.
        message = f"the client library {backend} cannot be loaded: {error} ({versions})"
        return fail(_NAME, "client_library", message, f"Install it anew, and then the newer eventkit alone: {CURE}")
    package, differing = load(backend), differences(backend)
    cure = f"Install the version that ibkr was written for: python -m pip install '{backend}=={package.known}'"
    if differing:
        message = f"{backend} differs from what ibkr relies on: {'; '.join(differing[:3])} ({versions})"
        return fail(_NAME, "client_library", message, cure)
    if is_older:
        message = f"the module eventkit is the older one, which fails in threads and from Python 3.14 on ({versions})"
        return warn(_NAME, "client_library", message, f"Keep the newer one alone: {CURE}")
    if package.version != package.known:
        message = f"this version of {backend} is not known, but has everything that ibkr relies on ({versions})"
        return warn(_NAME, "client_library", message, cure)
    return ok(_NAME, versions)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


CHECK = Check(_NAME, "Python and libraries", _look, needs=("configuration",))
