"""What the README says is true."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ibkr
from ibkr.config import load_config
from ibkr.core import errors
from ibkr.core.states import ConnectionState
from ibkr.simulator import ThreadedGateway

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = (ROOT / page).read_text(encoding="utf-8").split(f"{heading}\n", 1)[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_example_runs():
    """With the simulator, up to its third price."""
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    with ThreadedGateway(id_hold=0) as gateway:
        code = code.replace("7497", str(gateway.port)).replace("sleep(1)", "sleep(0.2)")
        env = os.environ | {"PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        )
        with process:
            lines = [process.stdout.readline().strip() for _ in range(3)]
            process.kill()
    prices = [line for line in lines if re.fullmatch(r"READY .*may trade \d+\.\d+", line)]
    assert prices, lines


@pytest.mark.parametrize("page", ["README.md", "docs/promises.md"])
def test_the_recovery_times_are_those_of_the_benchmark(page):
    measured = json.loads((ROOT / "docs" / "recovery.json").read_text(encoding="utf-8"))
    shown = {row[0]: [cell.strip("*") for cell in row[1:]] for row in rows(page, "## How fast it comes back")}
    assert shown == {what: [in_words(each) for each in seconds.values()] for what, seconds in measured.items()}


def in_words(seconds):
    if seconds is None:
        return "never (60 s)"
    return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"


def test_the_version_is_the_changelog_s_newest():
    newest = re.findall(
        r"^## \[(\d.*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )[0]
    assert ibkr.__version__ == newest
    assert f"This is {newest}," in README


def test_the_settings_and_their_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("IBKR_")]:
        monkeypatch.delenv(variable)
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `([a-z_.0-9]+)` \| `(.*?)` \|", page, flags=re.MULTILINE))
    assert list(told) == list(load_config()["ibkr"].keys())
    file = tmp_path / "all.toml"
    file.write_text("[ibkr]\n" + "\n".join(f"{key} = {value}" for key, value in told.items()))
    assert load_config(file) == load_config()


def test_the_states():
    assert {row[0].strip("`") for row in rows("docs/states.md", "# States")} == {
        str(state) for state in ConnectionState
    }


def test_the_error_tree_is_the_module_s():
    (tree,) = re.findall(
        r"```\n(IbkrError\n.*?)```", (ROOT / "docs" / "connector.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    assert errors.__doc__ is not None
    wanted = [line.strip() for line in errors.__doc__.split("::")[1].strip().splitlines()]
    assert [line.strip() for line in tree.strip().splitlines()] == wanted


@pytest.mark.parametrize(
    "command",
    [
        *("demo", "status", "watch", "doctor", "explain", "serve", "gateway", "fleet", "journal", "halt", "resume"),
        *("simulate", "proxy", "recording", "replay", "alerts"),
    ],
)
def test_the_commands(command):
    assert [row[0].split()[1].strip("`") for row in rows("README.md", "## The command")].count(command) == 1
    done = subprocess.run([sys.executable, "-P", "-m", "ibkr", command, "--help"], capture_output=True, timeout=30)
    assert done.returncode == 0


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_told_of_exists(file):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    told = set(re.findall(r"(?:^|`|&& )make ([a-z-]+)", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert told
    assert told <= targets
