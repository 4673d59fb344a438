"""``ibkr`` itself: help, version, wrong usage, log."""

import json
import os
import subprocess
import sys

import pytest

import ibkr as package

from .conftest import COMMAND


def test_without_arguments_it_shows_where_to_begin(ibkr):
    done = ibkr()
    assert (done.returncode, done.stderr) == (0, "")
    beginning, _, rest = done.stdout.partition("Options")
    for command in ("ibkr demo", "ibkr status", "ibkr watch", "ibkr doctor", "ibkr explain", "ibkr simulate"):
        assert command in beginning
    assert "Exit codes: 0 ready or ok, 1 not ready or a problem found, 2 wrong usage or" in beginning
    assert "Commands" in rest
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("args", [[], ["demo"], ["status"], ["doctor"], ["explain"], ["simulate"]])
def test_no_help_line_wraps(ibkr_here, args):
    done = ibkr_here(*args, "--help", COLUMNS="80")
    wide = ibkr_here(*args, "--help", COLUMNS="200")
    text = {line.strip() for line in done.stdout.partition("╭")[0].splitlines()}
    assert text == {line.strip() for line in wide.stdout.partition("╭")[0].splitlines()}


def test_version(ibkr):
    assert ibkr("--version").stdout == f"ibkr {package.__version__}\n"


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["nonsense"], "nonsense"),
        (["status", "--nonsense"], "--nonsense"),
        (["status", "--wait", "-1"], "--wait"),
        (["simulate", "--port", "65536"], "--port"),
        (["simulate", "--control", "x"], "--control"),
    ],
)
def test_wrong_usage_exits_with_2_and_a_message(ibkr_here, args, word):
    done = ibkr_here(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert word in done.stderr


URL = "http://127.0.0.1:1/"
TARGETS = {"--fleet": (), "--url": (URL,), "--journal": ("journal.sqlite",)}


@pytest.mark.parametrize("command", ["halt", "resume"])
@pytest.mark.parametrize(
    "names", [("--fleet", "--url"), ("--fleet", "--journal"), ("--url", "--journal"), tuple(TARGETS)], ids=" ".join
)
def test_a_halt_has_one_target(ibkr_here, command, names):
    done = ibkr_here(command, *(word for name in names for word in (name, *TARGETS[name])), COLUMNS="200")
    assert (done.returncode, done.stdout) == (2, "")
    assert "use only one of --fleet, --url, --journal. Nothing is changed" in " ".join(
        done.stderr.replace("│", " ").split()
    )


@pytest.mark.parametrize("command", ["halt", "resume"])
@pytest.mark.parametrize("target", [(), ("--fleet",), ("--journal", "journal.sqlite")])
def test_a_token_without_a_url_is_refused(ibkr_here, command, target):
    done = ibkr_here(command, "--token-file", "token", *target, COLUMNS="200")
    assert (done.returncode, done.stdout) == (2, "")
    assert "use --token-file only with --url" in done.stderr


@pytest.mark.parametrize("command", ["halt", "resume"])
def test_an_empty_url_is_refused(ibkr_here, command):
    """As of an unset variable of a script: it must not halt the program of the journal instead."""
    done = ibkr_here(command, "--url", "", IBKR_JOURNAL="journal.sqlite")
    assert (done.returncode, done.stdout) == (2, "")
    assert "ibkr: --url = '': must be the URL of the page" in done.stderr


@pytest.mark.parametrize(
    "option", [("--host", "h"), ("--port", "0"), ("--client-id", "0"), ("--timeout", "1"), ("--config", "f")]
)
def test_watch_attach_makes_no_connection_of_its_own(ibkr_here, option):
    done = ibkr_here("watch", "--attach", URL, *option, COLUMNS="200")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"use --attach or {option[0]}, not both" in done.stderr


def test_watch_uses_a_token_only_to_attach(ibkr_here):
    done = ibkr_here("watch", "--token-file", "token", COLUMNS="200")
    assert (done.returncode, done.stdout) == (2, "")
    assert "use --token-file only with --attach" in done.stderr


def test_ctrl_c_during_imports_shows_no_traceback():
    program = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "ibkr.cli.demo_command":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
sys.argv = ["ibkr", "demo"]
from ibkr.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a file that is always full")
@pytest.mark.parametrize(
    "args", [("explain", "326"), ("explain", "326", "--json"), ("status", "--json", "--port", "1")]
)
def test_output_that_cannot_be_written(surroundings, args):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *args], **surroundings, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ibkr: the output cannot be written: No space left on device"
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_gone_is_no_error(surroundings):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as closed:
        done = subprocess.run(
            [*COMMAND, "explain", "326", "--json"], **surroundings, stdout=closed, stderr=subprocess.PIPE, timeout=30
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_verbose_logs_to_stderr_with_accounts_masked(ibkr, simulated):
    done = ibkr("-v", "status", "--json", "--port", simulated.port)
    assert done.returncode == 0
    assert done.stdout.startswith("{")
    assert "ibkr.connector: Connected to IBKR at 127.0.0.1" in done.stderr
    assert "account='DU***67'" in done.stderr
    assert "DU1234567" not in done.stderr


@pytest.mark.rest
@pytest.mark.parametrize(
    "args", [[], ["demo"], ["status"], ["watch"], ["doctor"], ["explain"], ["simulate"], ["serve"]]
)
def test_every_command_works_without_docstrings_and_assertions(ibkr, args):
    done = ibkr(*args, "--help", PYTHONOPTIMIZE="2")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_session_works_without_docstrings_and_assertions(ibkr, start):
    process = start("simulate", "--port", 0, "--json", PYTHONOPTIMIZE="2")
    port = json.loads(process.stdout.readline())["port"]
    done = ibkr("status", "--json", "--port", port, PYTHONOPTIMIZE="2")
    assert (done.returncode, json.loads(done.stdout)["state"]) == (0, "READY")
