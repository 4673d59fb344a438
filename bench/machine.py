"""A description of the machine that the benchmark ran on: its kind, and no name or path."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from contextlib import suppress

_PACKAGES = ("ib_async", "aeventkit", "uvloop")


def describe() -> dict[str, str]:
    """The description, as shown next to the figures."""
    packages = {}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            packages[name] = importlib.metadata.version(name)
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {version}" for name, version in packages.items()),
        "load": ", ".join(f"{value:.1f}" for value in load) or "unknown",
    }


def _processor() -> str:
    with suppress(OSError), open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
