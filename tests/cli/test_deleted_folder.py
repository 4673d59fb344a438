"""Commands in a working folder that was deleted: a relative path leads nowhere, and the message says so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import COMMAND

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not delete a working folder")

GONE = "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); os.execv(sys.executable, sys.argv[1:])"
"""Makes a folder, changes to it, deletes it, and becomes the command."""

IBC2 = {"IBKR_GATEWAY_DRIVER": "ibc2"}
CASES = {
    "fleet up": (("fleet", "up", "--listen", "127.0.0.1:0"), {}, 1, "--data"),
    "journal": (("journal", "--journal", "j.db"), {}, 2, "ibkr.journal = 'j.db'"),
    "halt": (("halt", "--journal", "j.db"), {}, 2, "ibkr.journal = 'j.db'"),
    "resume": (("resume", "--journal", "j.db"), {}, 2, "ibkr.journal = 'j.db'"),
    "serve, journal": (("serve", "--http", 0, "--port", 1), {"IBKR_JOURNAL": "j.db"}, 2, "ibkr.journal = 'j.db'"),
    "serve, history": (("serve", "--http", 0, "--port", 1, "--history", "h.db"), {}, 2, "history = 'h.db'"),
    "gateway": (("gateway", "status"), IBC2 | {"IBKR_GATEWAY_IBC2_HOME": "h"}, 2, "ibkr.gateway.ibc2_home = 'h'"),
    "gateway, own home": (("gateway", "status"), IBC2 | {"IBC2_HOME": "h"}, 2, "IBC2_HOME = 'h'"),
    "simulate, instruments": (("simulate", "--port", 0, "--instruments", "i.toml"), {}, 2, "i.toml"),
    "simulate, scenario": (("simulate", "--port", 0, "--scenario", "s.toml"), {}, 2, "--scenario"),
    "proxy": (("proxy", "--listen", "127.0.0.1:0", "--record", "recordings"), {}, 2, "--record"),
    "recording": (("recording", "show", "r.jsonl"), {}, 2, "r.jsonl"),
    "replay": (("replay", "r.jsonl"), {}, 2, "r.jsonl"),
}
PATHS = {"fleet up", "journal", "halt", "resume", "serve, journal", "gateway", "gateway, own home"}
"""What makes its path absolute when it starts."""


@pytest.fixture
def ibkr_in_deleted_folder(surroundings):
    def run(*args: object, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", GONE, *COMMAND, *map(str, args)]
        env = surroundings["env"] | variables
        cwd, null = surroundings["cwd"], subprocess.DEVNULL
        return subprocess.run(command, cwd=cwd, env=env, stdin=null, capture_output=True, text=True, timeout=60)

    return run


@pytest.mark.parametrize("case", CASES)
def test_a_relative_path_is_named_with_its_cure(ibkr_in_deleted_folder, case):
    args, variables, code, name = CASES[case]
    done = ibkr_in_deleted_folder(*args, **variables)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert name in done.stderr
    if case in PATHS:
        assert "the working folder does not exist" in done.stderr
        assert done.stderr.count("\n") == 1
