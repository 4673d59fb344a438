"""``ibkr ... | true``: nobody reads the output of a command that runs until Ctrl-C."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.cli.conftest import COMMAND
from tests.cli.test_hosts import HEADER

SERVERS = {
    "simulate": ("simulate", "--port", 0),
    "replay": ("replay", "recording.jsonl", "--port", 0),
    "proxy": ("proxy", "--listen", "127.0.0.1:0"),
    "serve": ("serve", "--http", "127.0.0.1:0", "--port", 1),
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports a closed pipe with another error")
@pytest.mark.parametrize("args", SERVERS.values(), ids=SERVERS)
def test_it_ends_with_1_and_prints_nothing_if_nobody_reads(surroundings, tmp_path, args):
    (tmp_path / "recording.jsonl").write_text(json.dumps(HEADER) + "\n")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [*COMMAND, *map(str, args)]
        done = subprocess.run(
            command, **surroundings, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, timeout=60
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
