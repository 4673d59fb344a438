"""The pytest plugin in a user's test files: pytest runs in this process, with files of its own."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import ib_async  # noqa: F401 - import numpy here: it cannot be imported twice, and pytester forgets imports
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "test_my_strategy.py"
DOCS = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")

pytest_plugins = ["pytester"]

# A user's pytest has neither pytest-asyncio nor pytest-randomly. The tests run in the order of the file.
AS_A_USERS = ["-p", "no:asyncio", "-p", "no:randomly", "-p", "no:cacheprovider"]


@pytest.fixture
def run(pytester: pytest.Pytester, script_loop: asyncio.AbstractEventLoop):
    """Runs a test file: ``run(text, passed=1)``."""

    def run(text: str, conftest: str = "", **outcomes: int) -> pytest.RunResult:
        pytester.makeconftest(conftest)
        pytester.makepyfile(text)
        result = pytester.runpytest_inprocess(*AS_A_USERS)
        # After disconnect(), the client library closes its socket in the next turns of the loop.
        script_loop.run_until_complete(asyncio.sleep(0.01))
        result.assert_outcomes(**outcomes)
        return result

    return run


def test_the_example(run) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    run(text, passed=2)
    code = [line for line in text.splitlines() if line.strip()]
    assert len(code) <= 25


@pytest.mark.parametrize("number", range(7))
def test_what_the_documentation_shows(run, number: int) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)
    assert len(blocks) == 7
    if "def test_" in blocks[number]:
        run(blocks[number], passed=1)
    else:
        run("def test_it(ib_gateway):\n    assert ib_gateway.port", blocks[number], passed=1)


def test_the_scenarios_that_are_told_of_are_those_that_there_are(tmp_path: Path) -> None:
    from ibkr.simulator import FAULTS, load_scenario, shipped_scenarios

    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", DOCS, flags=re.MULTILINE))
    assert rows == {item.name: item.about for item in shipped_scenarios()}
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS, flags=re.DOTALL)
    file = tmp_path / "mine.toml"
    file.write_text(example, encoding="utf-8")
    assert len(load_scenario(file).steps) == 2
    told = set(re.findall(r"`faults\.(\w+)\(", DOCS))
    assert told
    assert told <= set(FAULTS)


def test_each_test_has_it_as_new_on_the_same_port(run) -> None:
    run(
        """
        import socket

        ports = set()

        def test_one(ib_gateway):
            ports.add(ib_gateway.port)
            global left_open
            left_open = socket.create_connection(("127.0.0.1", ib_gateway.port), 2)
            ib_gateway.wait_for(lambda gateway: gateway.seen.connects == 1)
            ib_gateway.faults.restart(1000)

        def test_two(ib_gateway):
            ports.add(ib_gateway.port)
            left_open.settimeout(2)
            assert left_open.recv(1) == b""
            left_open.close()
            assert ib_gateway.is_listening
            assert (ib_gateway.seen.connects, list(ib_gateway.seen.faults)) == (0, [])
            assert len(ports) == 1
        """,
        passed=2,
    )


def test_its_options_come_from_a_fixture(run) -> None:
    run(
        """
        def test_accounts(ib_gateway):
            assert ib_gateway.call(lambda gateway: gateway._state.settings.accounts) == ("DU8", "DU9")
        """,
        """
        import pytest

        @pytest.fixture(scope="session")
        def ib_gateway_options():
            return {"accounts": ("DU8", "DU9")}
        """,
        passed=1,
    )


def test_a_connector_that_is_ready(run) -> None:
    run(
        """
        import asyncio

        def test_it_is_connected(ib_connector, ib_gateway):
            assert ib_connector.may_trade
            assert ib_gateway.client_ids == [1]
            assert {item.contract.symbol for item in ib_connector.call(lambda ib: ib.positions())} == {"AAPL", "ES"}

        def test_it_comes_back_by_itself(ib_connector, ib_gateway):
            ib_gateway.faults.reset()
            ib_gateway.wait_for(lambda gateway: len(gateway.seen.sessions) == 2, 10)
            ib_connector.wait_ready(10)
            assert ib_connector.last_gap is not None

        def test_in_a_coroutine(ib_connector, ib_gateway):
            async def main():
                await ib_connector.wait_ready_async(10)
                return ib_connector.call(lambda ib: ib.reqCurrentTimeAsync(), 5)

            assert asyncio.run(main()).year >= 2024

        def test_nothing_is_left_of_it(ib_gateway):
            assert ib_gateway.client_ids == []
        """,
        'import pytest\n\n@pytest.fixture(scope="session")\ndef ib_gateway_options():\n    return {"id_hold": 0}\n',
        passed=4,
    )


def test_its_connector_takes_options_from_a_fixture(run) -> None:
    run(
        """
        def test_client_id(ib_connector, ib_gateway):
            assert ib_gateway.client_ids == [9]
            ib_gateway.assert_not_received("reqOpenOrders")
        """,
        """
        import pytest

        @pytest.fixture(scope="session")
        def ib_connector_options():
            return {"client_id": 9, "readonly": True}
        """,
        passed=1,
    )


def test_an_assertion_says_what_there_was(run) -> None:
    result = run("def test_it(ib_gateway):\n    ib_gateway.assert_received('placeOrder', timeout=0.01)", failed=1)
    result.stdout.fnmatch_lines(["*placeOrder was not received within 0.01 s; seen: 0 connects*"])


def test_it_is_listed_with_what_it_is(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("--fixtures", *AS_A_USERS)
    result.stdout.fnmatch_lines(["*ib_gateway*", "*A simulated gateway on a free port*"])
    result.stdout.fnmatch_lines(
        ["*ib_connector*", "*An ``IBConnector`` in its own thread, connected to ``ib_gateway``*"]
    )


def test_unused_it_loads_neither_a_client_library_nor_the_simulator() -> None:
    script = "import sys, ibkr.pytest_plugin; print(*sorted(name for name in sys.modules if name.startswith('ib')))"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == ["ibkr", "ibkr.pytest_plugin"]


@pytest.mark.rest
@pytest.mark.timeout(600)
def test_the_example_in_a_fresh_environment(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", ROOT, "pytest"], check=True, cwd=tmp_path)
    (tmp_path / EXAMPLE.name).write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    env = {
        name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"
    }  # a user does not set this option of our tests
    command = [python, "-P", "-m", "pytest", EXAMPLE.name]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    listed = subprocess.run(
        [python, "-P", "-m", "ibkr", "simulate", "scenarios"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "weekend" in listed.stdout, "the scenarios are part of the package"
