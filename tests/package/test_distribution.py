"""The results of 'make package': their files, and type checks of a user's program where they are installed."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import ibkr
from ibkr.observe.command_sink import CommandSink
from ibkr.observe.history import History
from ibkr.observe.sink import Relay

ROOT = Path(__file__).parents[2]
# This environment has only the wheel and its dependencies.
INSTALLED = ROOT / ".package" / "bin"
PYRIGHT = ROOT / ".npm" / "node_modules" / "pyright" / "index.js"

pytestmark = [pytest.mark.package, pytest.mark.timeout(180)]


def tracked(*under: str) -> set[str]:
    """The files in the repository."""
    done = subprocess.run(["git", "ls-files", "-z", *under], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.split("\0") if name}


def built(pattern: str) -> Path:
    """The one built file of this kind."""
    [file] = (ROOT / "dist").glob(pattern)
    return file


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run it in the wheel's environment, without this repository's configuration."""
    env = os.environ | {"PATH": f"{INSTALLED}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=170)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A user's program, in a separate folder."""
    return Path(shutil.copy(ROOT / "tests" / "typing" / "user.py", tmp_path))


def test_the_wheel_holds_the_package_and_nothing_else() -> None:
    names = set(zipfile.ZipFile(built("*.whl")).namelist())
    described = {name for name in names if ".dist-info/" in name}
    assert {f"src/{name}" for name in names - described} == tracked("src/ibkr")


def test_the_source_distribution_holds_what_is_tracked_and_nothing_else() -> None:
    with tarfile.open(built("*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names - {"PKG-INFO"} == tracked()


def test_a_users_program_is_well_typed_for_mypy(program: Path) -> None:
    done = run(
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--python-executable",
        INSTALLED / "python",
        program,
        cwd=program.parent,
    )
    assert done.returncode == 0, done.stdout


def test_a_users_program_is_well_typed_for_pyright(program: Path) -> None:
    done = run("node", PYRIGHT, program, cwd=program.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_need_not_guess_the_type_of_any_public_name(tmp_path: Path) -> None:
    done = run("node", PYRIGHT, "--verifytypes", "ibkr", "--ignoreexternal", "--outputjson", cwd=tmp_path)
    symbols = {symbol["name"]: symbol for symbol in json.loads(done.stdout)["typeCompleteness"]["symbols"]}
    public = [getattr(ibkr, name) for name in ibkr.__all__ if name != "__version__"] + [CommandSink, History, Relay]
    names = [f"{thing.__module__}.{thing.__qualname__}" for thing in public]
    told = {name: symbol for name, symbol in symbols.items() if name in names or name.rpartition(".")[0] in names}
    assert set(names) <= set(told)
    assert {name: symbol["diagnostics"] for name, symbol in told.items() if not symbol["isTypeKnown"]} == {}
