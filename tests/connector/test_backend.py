"""Which client library is used, and the errors for one that cannot be used."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import eventkit
import pytest
from ib_async import IB

from ibkr import ConfigError, IBConnector, load_config
from ibkr.session.library.packages import package_of
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make

ROOT = Path(__file__).parents[2]
CONNECTOR = f"IBConnector('127.0.0.1', 7497, 1, backend={package_of(IB()).name!r})"


def run(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter, with these folders first on the path."""
    path = f"import sys; sys.path[:0] = {[*map(str, folders)]}; import logging; logging.basicConfig()"
    program = f"{path}\nfrom ibkr import *\n{code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)


@pytest.fixture
def packages(tmp_path: Path) -> Callable[..., Path]:
    """A folder in which these distributions have installed the module ``eventkit``."""

    def install(*names: str) -> Path:
        shutil.copytree(Path(eventkit.__file__).parent, tmp_path / "eventkit")
        for name in names:
            metadata = tmp_path / f"{name}-1.0.dist-info" / "METADATA"
            metadata.parent.mkdir()
            metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        return tmp_path

    return install


def test_the_named_library_is_used(backend: str) -> None:
    connector = IBConnector.from_config(load_config(backend=backend))
    assert type(connector.ib).__module__ == f"{backend}.ib"


def test_an_object_decides_by_its_type(backend: str) -> None:
    class Own(IB):
        pass

    own = Own()
    other = {"ib_async": "ib_insync", "ib_insync": "ib_async"}[backend]
    connector = IBConnector("127.0.0.1", 7497, 1, ib=own, backend=other)
    assert connector.ib is own
    assert package_of(own).name == package_of(own.client).name == backend


def test_an_object_of_no_client_library_is_refused() -> None:
    with pytest.raises(ConfigError, match="ib = 'no IB': must be an IB object of ib_async or ib_insync"):
        IBConnector("127.0.0.1", 7497, 1, ib="no IB")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ib_async", "ib_insync"])
def test_a_missing_library_names_the_command_that_installs_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError) as caught:
        IBConnector("127.0.0.1", 7497, 1, backend=name)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [wanted] = [
        each
        for each in (*project["dependencies"], *project["optional-dependencies"]["insync"])
        if each.startswith(name)
    ]
    assert str(caught.value) == f"ibkr.backend = {name!r}: {name} is not installed: python -m pip install '{wanted}'"


def test_two_packages_of_one_module_are_reported_once_with_the_cure(packages: Callable[..., Path]) -> None:
    said = run(f"{CONNECTOR}; {CONNECTOR}", packages("aeventkit", "eventkit")).stderr
    assert said.count("WARNING") == 1
    assert "the one installed last is used" in said
    assert "pip uninstall --yes eventkit" in said


@pytest.mark.parametrize("name", ["aeventkit", "eventkit"])
def test_one_package_is_accepted(name: str, packages: Callable[..., Path]) -> None:
    assert run(CONNECTOR, packages(name)).stderr == ""


def test_a_library_that_cannot_be_imported_in_this_thread_is_an_error_with_the_cure(
    packages: Callable[..., Path],
) -> None:
    folder = packages("aeventkit", "eventkit")
    with (folder / "eventkit" / "util.py").open("a", encoding="utf-8") as util:  # add a line of the older eventkit
        util.write("\nmain_event_loop = asyncio.get_event_loop_policy().get_event_loop()\n")
    code = (
        f"import concurrent.futures as f\nprint(repr(f.ThreadPoolExecutor().submit(lambda: {CONNECTOR}).exception()))"
    )
    said = run(code, folder).stdout
    assert said.startswith("ConfigError(")
    assert "no current event loop in thread" in said
    assert "pip install --force-reinstall --no-deps 'aeventkit" in said


def test_it_connects_in_a_loop_that_is_not_the_threads_own() -> None:
    async def session(port: int) -> float:
        async with IBConnector("127.0.0.1", port, 7) as connector:
            silent = asyncio.get_running_loop().create_future()
            connector.ib.timeoutEvent.connect(silent.set_result, keep_ref=True)
            connector.ib.setTimeout(0.1)
            return await asyncio.wait_for(silent, 5)

    with ThreadedGateway() as gateway, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        assert runner.run(session(gateway.port)) >= 0.1


async def test_the_newest_protocol_version_of_each_is_spoken(make: Make) -> None:
    connector = make()
    await connector.connect_async()
    assert connector.status.server_version == connector.ib.client.MaxClientVersion
