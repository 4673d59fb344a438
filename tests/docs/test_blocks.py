"""Every block of Python in the README and the documentation is run, against the simulated gateway."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ibkr.config import load_config
from ibkr.simulator import ThreadedGateway

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Seconds that a program may take to end by itself, before it is taken for one that does not.
AFTER_THE_FIRST_LINE = 2.0
# Pages whose blocks need more than a gateway, and the tests that run them.
ELSEWHERE = {"testing.md": "tests/plugin/test_plugin.py", "qt.md": "tests/qt/test_page.py"}
# What a fragment takes for granted.
CONNECTED = """
from ibkr import IBConnector
connector = IBConnector("127.0.0.1", 7497, client_id=1)
connector.connect()
ib = connector.ib
"""


def blocks(language: str) -> list[object]:
    """Every block in this language, with the page and the line that it begins on as its id."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(page.name, match.group(1), id=f"{page.name}:{line}"))
    return found


@pytest.mark.parametrize(("page", "code"), [block for block in blocks("python") if block.values[0] not in ELSEWHERE])
def test_every_block_of_python_runs(page: str, code: str, tmp_path: Path) -> None:
    """Up to its end; one that goes on for ever, until Ctrl-C some time after its first line of output.

    A fragment, which speaks of a ``connector`` and makes none, is given one that is connected.
    """
    if "IBConnector(" not in code and "connector" in code:
        code = f"{CONNECTED}{code}\nconnector.disconnect()"
    with ThreadedGateway(id_hold=0) as gateway:
        code = code.replace("7497", str(gateway.port)).replace("4002", str(gateway.port))
        process = subprocess.Popen(
            [sys.executable, "-P", "-X", "dev", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            cwd=tmp_path,
        )
        watchdog = threading.Timer(20, process.kill)
        watchdog.start()
        with process:
            first = process.stdout.readline()
            try:
                ended = process.wait(timeout=AFTER_THE_FIRST_LINE)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                ended = process.wait()
            complaint = process.stderr.read()
        watchdog.cancel()
        watchdog.join()
    assert ended == 0, complaint
    assert "Traceback" not in complaint
    assert first or "print(" not in code


@pytest.mark.parametrize("page", ELSEWHERE)
def test_the_blocks_that_are_run_elsewhere_are(page: str) -> None:
    assert page in (ROOT / ELSEWHERE[page]).read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_every_block_of_configuration_is_read(page: str, text: str, tmp_path: Path) -> None:
    if "[ibkr]" in text:
        file = tmp_path / "ibkr.toml"
        file.write_text(text, encoding="utf-8")
        load_config(file)


def commands() -> list[str]:
    """Every call of ``ibkr`` and of ``make`` that a console block shows."""
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
