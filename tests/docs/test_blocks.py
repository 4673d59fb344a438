"""Runs every block of Python in the README and the documentation against the simulated gateway."""

import ast
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from _pytest.mark import ParameterSet

from ibkr.config import load_config
from ibkr.simulator import ThreadedGateway

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A program without an end gets Ctrl-C this many seconds after its first line of output.
AFTER_THE_FIRST_LINE = 2.0
# Pages whose blocks need more than a gateway, and the tests that run them.
ELSEWHERE = {
    "testing.md": "tests/plugin/test_plugin.py",
    "qt.md": "tests/qt/test_documentation.py",
    "fleet.md": "tests/fleet/test_command.py",
}
# This text comes before a fragment that uses ``connector`` and does not make one.
CONNECTED = """
from ibkr import IBConnector
connector = IBConnector("127.0.0.1", 7497, client_id=1)
connector.connect()
ib = connector.ib
"""
# This code runs a cell of a notebook, because a cell may use await at the top level.
NOTEBOOK = """
import ast, asyncio
code = compile({code!r}, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
asyncio.run(eval(code))
"""


def blocks(language: str) -> list[ParameterSet]:
    """Return every block in this language. Its id is the page and the line where it begins."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(page.name, match.group(1), id=f"{page.name}:{line}"))
    return found


@pytest.mark.parametrize(("page", "code"), [block for block in blocks("python") if block.values[0] not in ELSEWHERE])
def test_every_block_of_python_runs(page: str, code: str, tmp_path: Path) -> None:
    """The block ends without an error. If it handles Ctrl-C, it gets Ctrl-C soon after its first line of output.

    A fragment that uses ``connector`` and does not make one gets a connector that is connected.
    """
    if "IBConnector" not in code and "connector" in code:
        code = f"{CONNECTED}{code}\nconnector.disconnect()"
    with ThreadedGateway(id_hold=0) as gateway:
        code = re.sub("7497|4002", str(gateway.port), code)
        code = code.replace("from ib_insync", "from ib_async")  # ib_async is the successor of ib_insync
        if awaits_at_top_level(code):
            code = NOTEBOOK.format(code=code)
        process = subprocess.Popen(
            [sys.executable, "-P", "-X", "dev", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "IBKR_PORT": str(gateway.port)},
            cwd=tmp_path,
        )
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        with process:
            first = process.stdout.readline()
            try:
                ended = process.wait(timeout=AFTER_THE_FIRST_LINE if "KeyboardInterrupt" in code else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                ended = process.wait()
            complaint = process.stderr.read()
        watchdog.cancel()
        watchdog.join()
    assert ended == 0, complaint
    assert "Traceback" not in complaint
    assert first or "print(" not in code


def awaits_at_top_level(code: str) -> bool:
    """Whether this is a cell of a notebook."""
    try:
        compile(code, "block", "exec")
    except SyntaxError:
        compile(code, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return True
    return False


@pytest.mark.parametrize("page", ELSEWHERE)
def test_the_blocks_that_are_run_elsewhere_are(page: str) -> None:
    assert page in (ROOT / ELSEWHERE[page]).read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_every_block_of_configuration_is_read(page: str, text: str, tmp_path: Path) -> None:
    if "[ibkr]" in text:
        file = tmp_path / "ibkr.toml"
        file.write_text(text, encoding="utf-8")
        load_config(file)


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_every_block_of_yaml_is_read(page: str, text: str) -> None:
    assert yaml.safe_load(text)["services"]


def commands() -> list[str]:
    """Return every call of ``ibkr`` and of ``make`` that a console block shows."""
    found = {line for block in blocks("console") for line in block.values[1].splitlines() if line.startswith("$ ")}
    return sorted(line[2:].removeprefix(".venv/bin/") for line in found)


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("ibkr ")])
def test_every_command_that_is_shown_exists(command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if not word.startswith("-")]
    name = words[:2] if words[0] == "simulate" and len(words) > 1 and words[1] in ("fault", "faults") else words[:1]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ibkr", *name, "--help"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("make ")])
def test_every_make_target_that_is_shown_exists(command: str) -> None:
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
