"""``ibkr fleet`` and related commands as processes, and the blocks of docs/fleet.md."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ibkr import Fleet
from ibkr.fleet.administration import with_store
from ibkr.fleet.nats_server import NatsServer, NatsServerError
from ibkr.fleet.nats_store import FleetStore
from ibkr.fleet.subjects import HALT_KEY
from tests.cli.conftest import ibkr_here  # noqa: F401 - a fixture

COMMAND = [sys.executable, "-P", "-m", "ibkr"]
PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"
Ibkr = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, Any]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("IBKR_")}
    return {"cwd": tmp_path, "env": env | {"COLUMNS": "120", "IBKR_REGION": "none", "PYTHONUNBUFFERED": "1"}}


@pytest.fixture
def ibkr(surroundings: dict[str, Any]) -> Ibkr:
    def run(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
        env = surroundings["env"] | variables
        command = [*COMMAND, *map(str, words)]
        return subprocess.run(
            command, cwd=surroundings["cwd"], env=env, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.fixture
def start(surroundings: dict[str, Any]) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(*command: str, **variables: str) -> subprocess.Popen[str]:
        env = surroundings["env"] | variables
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, cwd=surroundings["cwd"], env=env, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.rest
def test_a_server_of_one_s_own_and_nobody_in_the_fleet(start: Start, ibkr: Ibkr) -> None:
    server = start(*COMMAND, "fleet", "up", "--data", "data", "--listen", "127.0.0.1:0", "--json")
    url = json.loads(first_line(server))["url"]
    found = ibkr("fleet", "status", "--json", "--servers", url)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["gateways"] == []
    nobody = ibkr("fleet", "hand-over", "alpha", "--servers", url)
    assert (nobody.returncode, "no program with the name alpha leads" in nobody.stderr) == (1, True)
    halted = ibkr("halt", "--fleet", "--reason", "the risk limit", IBKR_FLEET_SERVERS=url, IBKR_FLEET_NAME="alpha")
    assert halted.returncode == 0, halted.stderr
    assert "HALTED: the risk limit" in ibkr("fleet", "status", "--servers", url).stdout
    resumed = ibkr("resume", "--fleet", "--json", IBKR_FLEET_SERVERS=url, IBKR_FLEET_NAME="alpha")
    assert json.loads(resumed.stdout)["was_halted"] is True
    server.send_signal(signal.SIGINT)
    assert server.wait(10) == 0


@pytest.mark.rest
def test_servers_that_are_not_there(ibkr: Ibkr) -> None:
    found = ibkr("fleet", "status", "--servers", "nats://127.0.0.1:9")
    assert found.returncode == 1
    assert "nats://127.0.0.1:9" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("halt", "Nothing is halted by this command: check servers in [ibkr.fleet], or halt each program by itself"),
        ("resume", "A halt of the fleet continues: check servers in [ibkr.fleet], then run ibkr resume --fleet again"),
    ],
)
def test_a_fleet_that_cannot_be_reached_is_not_halted_or_resumed(ibkr: Ibkr, command: str, words: str) -> None:
    done = ibkr(command, "--fleet", "--json", IBKR_FLEET_SERVERS="nats://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"ibkr {command}: the fleet's servers (nats://127.0.0.1:9) cannot be reached: ")
    assert second.startswith(words)


@pytest.mark.parametrize("command", ["halt", "resume"])
def test_servers_that_do_not_confirm_a_change(ibkr: Ibkr, tmp_path: Path, command: str) -> None:
    config = tmp_path / "nats.conf"
    user = '{user: "operator", password: "o", permissions: {publish: {allow: ">", deny: "$KV.ibkr_halt.>"}}}'
    config.write_text(f"authorization {{ users = [{user}] }}", encoding="utf-8")
    server = NatsServer(tmp_path / "nats", arguments=["-c", str(config)])
    url = server.start().replace("//", "//operator:o@")
    try:
        done = ibkr(command, "--fleet", IBKR_FLEET_SERVERS=url)
    finally:
        server.stop()
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"ibkr {command}: the fleet's servers (")
    assert second == "It is not confirmed: 'ibkr fleet status' shows whether the fleet is halted."


@pytest.mark.parametrize("as_json", [False, True])
def test_a_fleet_whose_cancel_is_not_confirmed(ibkr: Ibkr, server: NatsServer, as_json: bool) -> None:
    words = ("halt", "--fleet", *(["--json"] if as_json else []))
    plain = ibkr(*words, IBKR_FLEET_SERVERS=server.url)
    done = ibkr(*words, "--cancel-all", IBKR_FLEET_SERVERS=server.url)
    assert (plain.returncode, done.returncode) == (0, 0), done.stderr
    assert "cancel" not in plain.stdout
    if as_json:
        assert json.loads(done.stdout) == {"halted": True, "fleet": True, "cancel_confirmed": False}
    else:
        assert "It is not confirmed that the orders are cancelled: look at them in TWS" in done.stdout
        assert "'ibkr fleet status'" in done.stdout


@pytest.mark.rest
def test_what_a_name_may_do_is_printed(ibkr: Ibkr) -> None:
    allowed = json.loads(ibkr("fleet", "permissions", "alpha").stdout)
    assert "$KV.ibkr_leases.*.alpha.*" in allowed["publish"]["allow"]


@pytest.mark.parametrize("command", ["permissions", "hand-over", "forget"])
@pytest.mark.parametrize("name", ["*", ">", "a.b", ""])
def test_a_name_for_many_programs_is_refused(
    ibkr_here: Ibkr,  # noqa: F811
    server: NatsServer,
    command: str,
    name: str,
) -> None:
    more = () if command == "permissions" else ("--servers", server.url)
    done = ibkr_here("fleet", command, name, *more)
    assert (done.returncode, done.stdout) == (2, "")
    assert "ibkr.fleet.name" in done.stderr


def test_a_folder_that_cannot_be_used(ibkr_here: Ibkr, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", "~no-such-user/data"):
        done = ibkr_here("fleet", "up", "--listen", 0, "--data", folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("ibkr fleet up: ")


@pytest.mark.parametrize("is_taken", [False, True])
def test_an_address_that_cannot_be_used(ibkr: Ibkr, is_taken: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ibkr("fleet", "up", "--listen", f"{'127.0.0.1' if is_taken else '203.0.113.1'}:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ibkr fleet up: nats-server did not start: Error listening on port: ")
    assert "[INF]" not in done.stderr
    cure = "choose another port" if is_taken else "use one of its own, such as 127.0.0.1"
    assert cure in done.stderr


def test_the_log_of_an_earlier_start_is_not_the_reason(tmp_path: Path) -> None:
    (tmp_path / "nats-server.log").write_text("[1] 2026/11/30 12:00:00.000000 [FTL] an old reason\n")
    with pytest.raises(NatsServerError, match="did not start: it printed nothing"):
        NatsServer(tmp_path, arguments=["--no-such-option"]).start()


@pytest.fixture
def program() -> str:
    """The Python block of docs/fleet.md."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(code)


def test_the_page_of_the_fleet(
    server: NatsServer, start_gateway: Callable[[], int], start: Start, program: str
) -> None:
    port = start_gateway()
    program = program.replace("nats://127.0.0.1:4222", server.url).replace("4002", str(port))
    variables = {"IBKR_FLEET_SERVERS": server.url, "IBKR_FLEET_NAME": "alpha", "IBKR_PORT": str(port)}
    trading = start(sys.executable, "-c", f"{program}\nconnector.run()")
    assert first_line(trading) == "this program trades\n"
    serving = start(*COMMAND, "serve", "--fleet", "--http", "127.0.0.1:0", "--json", **variables)
    where = json.loads(first_line(serving))

    def get(path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", where["port"], timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200, path
            return answer.read()
        finally:
            connection.close()

    assert b"<title>ibkr fleet</title>" in get("/fleet")
    for path in ("/fleet/fleet.js", "/fleet/fleet.css"):
        assert get(path)
    programs: list[dict[str, Any]] = []
    for _ in range(200):
        gateways = json.loads(get("/api/fleet"))["gateways"]
        programs = gateways[0]["programs"] if gateways else []
        if programs and programs[0]["may_trade"]:
            break
    assert [(each["name"], each["role"], each["client_id"]) for each in programs] == [("mean-reversion", "leader", 100)]
    serving.send_signal(signal.SIGINT)
    assert serving.wait(10) == 0
    trading.send_signal(signal.SIGINT)
    trading.wait(10)


@pytest.mark.rest
def test_the_board_in_a_terminal(
    server: NatsServer, start_gateway: Callable[[], int], start: Start, ibkr: Ibkr, program: str
) -> None:
    program = program.replace("nats://127.0.0.1:4222", server.url).replace("4002", str(start_gateway()))
    trading = start(sys.executable, "-c", f"{program}\nconnector.wait_ready(10)\nprint('ready')\nconnector.run()")
    assert first_line(trading) == "this program trades\n"
    assert first_line(trading) == "ready\n"
    watching = start(*COMMAND, "fleet", "status", "--watch", "--json", "--servers", server.url)
    while not any(each["may_trade"] for each in json.loads(first_line(watching))["gateways"]):
        continue
    found = ibkr("fleet", "status", "--servers", server.url)
    assert (found.returncode, found.stderr) == (0, "")
    assert "mean-reversion" in found.stdout
    assert "leader" in found.stdout
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 0


@pytest.mark.parametrize("option", [(), ("--watch",)])
def test_settings_that_cannot_work_end_the_command(ibkr: Ibkr, server: NatsServer, option: tuple[str, ...]) -> None:
    ended = ibkr("fleet", "status", *option, IBKR_FLEET_SERVERS=server.url, IBKR_FLEET_TLS_CA="/nowhere.pem")
    assert ended.returncode == 2
    assert "ibkr.fleet.tls_ca = '/nowhere.pem'" in ended.stderr


async def test_a_halt_without_its_fields_is_shown(ibkr: Ibkr, server: NatsServer) -> None:
    async def put(store: FleetStore) -> None:
        await store.halt.put(HALT_KEY, b"{}")

    await with_store(Fleet(server.url, name="operator"), put)
    ended = await asyncio.to_thread(ibkr, "fleet", "status", IBKR_FLEET_SERVERS=server.url)
    assert "HALTED: ? (by ?, ?)" in ended.stdout, ended.stderr
