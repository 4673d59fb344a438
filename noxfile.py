"""Run the main tests on every Python of this machine, with both client libraries: ``make pythons``.

The Pythons are those of pyenv and those on the PATH. Each must pass, and at least one must exist. ``OTHER_THAN=3.11``
skips that version if there are others, because 'make test-all' has already run all tests with this version.
"""

import os
import shutil
import subprocess
from pathlib import Path

import nox

SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")
WORKERS = os.environ.get("WORKERS", "3")
# The tests of the main behavior over real sockets. 'make test' and 'make insync' run the other tests, with one Python.
TESTS = (
    "tests/connector/test_backend.py",
    "tests/connector/test_library_seam.py",
    "tests/connector/test_public_methods.py",
    "tests/connector/test_start_up.py",
    "tests/recovery/test_every_subscription_kind.py",
    "tests/run_modes",
)
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))

# pyenv's Pythons come first, because pyenv's commands on the PATH run only the versions that are enabled.
os.environ["PATH"] = os.pathsep.join([*map(str, sorted(PYENV.glob("versions/3.*/bin"))), os.environ["PATH"]])


def is_here(version: str) -> bool:
    """Whether there is such an interpreter, and not just a name that stands for none."""
    python = shutil.which(f"python{version}")
    return python is not None and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


FOUND = [version for version in SUPPORTED if is_here(version)]
OTHERS = [version for version in FOUND if version != os.environ.get("OTHER_THAN")] or FOUND
if not FOUND:
    raise SystemExit(f"none of Python {', '.join(SUPPORTED)} is on the PATH or in pyenv")


@nox.session(python=OTHERS)
@nox.parametrize("backend", ["ib_async", "ib_insync"])
def connection(session: nox.Session, backend: str) -> None:
    """The connection's main tests."""
    insync = backend == "ib_insync"
    session.install("--editable", ".[insync,test]" if insync else ".[test]")
    if insync:  # these are the commands of docs/backends.md
        session.run_install("python", "-m", "pip", "uninstall", "--quiet", "--yes", "eventkit")
        session.install("--force-reinstall", "--no-deps", "aeventkit>=2.1,<3")
    environment = {"TESTED_BACKEND": backend}
    session.run("pytest", "tests/features", env=environment)  # in sequence, because all use the same port
    session.run(
        "pytest",
        f"--numprocesses={WORKERS}",
        "--dist=worksteal",
        "-m",
        "not (slow or thorough or rest or live or ways or qt)",
        "-p",
        "no:cacheprovider",
        *([] if insync else ["tests/core"]),  # the core uses no client library
        *TESTS,
        *session.posargs,
        env=environment,
    )
