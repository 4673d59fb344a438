"""Complete sessions of other clients through the proxy: every byte that goes in comes out, in both directions."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ibkr.proxy import Proxy, Recording
from ibkr.proxy.recording_writer import SUFFIX
from ibkr.proxy.replay_fixture import run_in_thread
from ibkr.simulator import ThreadedGateway
from tests.proxy.tee import Tee

pytestmark = pytest.mark.clients

PROGRAMS = Path(__file__).parent / "sessions"
SESSIONS = [
    ("ib_async", 178),
    ("ib_insync", 176),
    ("ibapi", 157),
    ("ibapi-latest", 200),
    ("ibapi-latest", 213),
    ("ibapi-latest", 226),
    ("stoqey", 193),
]


@pytest.mark.parametrize(("client", "version"), SESSIONS)
def test_a_complete_session_through_the_proxy(
    environment: Callable[[str], Path],
    python_of: Callable[[str], Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    client: str,
    version: int,
) -> None:
    variables: dict[str, str] = {}
    if client == "stoqey":
        words = [request.getfixturevalue("node"), str(PROGRAMS / "session_stoqey.cjs")]
        variables = {"NODE_PATH": str(environment(client) / "node_modules")}
    elif client in ("ib_async", "ib_insync"):
        words = [str(python_of(client)), str(PROGRAMS / "session_ib.py"), client]
    else:
        words = [str(python_of(client)), str(PROGRAMS / "session_ibapi.py")]
    with ThreadedGateway(server_version=version) as gateway, Tee(gateway.port) as behind:
        proxy = Proxy("127.0.0.1", behind.port, record=tmp_path)
        with run_in_thread(proxy), Tee(proxy.port) as before:
            done = subprocess.run(
                [*words, str(before.port)],
                env={**os.environ, **variables},
                capture_output=True,
                text=True,
                timeout=50,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
            gateway.wait_for(lambda gateway: gateway.client_ids == [])
    assert json.loads(done.stdout)["server_version"] == version
    assert len(before.passed) == len(behind.passed) == 1
    [inner], [outer] = behind.passed, before.passed
    assert bytes(outer.up) == bytes(inner.up) != b""
    assert bytes(inner.down).startswith(bytes(outer.down))  # the client may disconnect before everything has arrived
    assert len(inner.down) - len(outer.down) < 10_000
    check_recording(tmp_path, version)


def check_recording(folder: Path, version: int) -> None:
    [path] = folder.glob(f"*{SUFFIX}")
    recording = Recording.read(path)
    assert recording.header.server_version == version
    assert [entry.name for entry in recording.entries if entry.fields is None] == []
    text = path.read_text(encoding="utf-8") + str([entry.body for entry in recording.entries])
    assert "DU1234567" not in text
    assert "placeOrder" in text
