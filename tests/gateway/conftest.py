"""A stand-in for the gateway program, with a simulated gateway behind it, and what the drivers need around it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ibkr.config import Config, load_config
from ibkr.core.events import Now
from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.gateway.drivers import make_driver
from ibkr.gateway.gateway_monitor import GatewayMonitor
from ibkr.gateway.gateway_store import GatewayStore
from ibkr.gateway.processes import process_identity
from ibkr.gateway.supervisor import Supervisor
from ibkr.simulator import ThreadedGateway
from tests.unused_port import unused_port

STAND_IN = Path(__file__).parent / "stand_in"
SECRET = "hunter2-secret"  # the password; it must be only in the files that a user wrote it into

# The stand-ins are shell scripts.
collect_ignore_glob = ["test_*.py"] if sys.platform == "win32" else []


class Machine:
    """A folder with the stand-in program, its configuration, and what each driver needs."""

    def __init__(self, folder: Path, broker: ThreadedGateway, start_script: Path = STAND_IN / "ibcstart.sh") -> None:
        self.folder = folder
        self.broker = broker
        self.api_port = unused_port()
        self.command_port = unused_port()
        self.jts = folder / "Jts"
        program = self.jts / "ibgateway" / "1045"
        (program / "jars").mkdir(parents=True)
        (program / "jars" / "jts4launch.jar").touch()
        (program / ".install4j").mkdir()
        (program / ".install4j" / "i4jparams.conf").write_text('<variable name="javaOptions" value="" />\n')
        (program / "ibgateway.vmoptions").write_text("-Xmx768m\n")
        (folder / "settings").mkdir()
        scripts = folder / "ibc" / "scripts"
        scripts.mkdir(parents=True)
        shutil.copy(start_script, scripts / "ibcstart.sh")
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.write_program("java", STAND_IN / "java.py")
        self.ini = folder / "config.ini"
        self.write_ini()
        self.plan()

    def write_program(self, name: str, script: Path) -> Path:
        """A program with this name in ``bin``, which runs the script with our Python."""
        path = self.bin / name
        path.write_text(f'#!/bin/sh\nSTAND_IN="{self.folder}" exec "{sys.executable}" "{script}" "$@"\n')
        path.chmod(0o755)
        return path

    def write_ini(self, **more: object) -> None:
        """IBC's config.ini, with the password."""
        values = {
            "IbLoginId": "edemo",
            "IbPassword": SECRET,
            "CommandServerPort": self.command_port,
            "BindAddress": "127.0.0.1",
            "LogStructureScope": "unknown",
            "LogStructureWhen": "open",
            **more,
        }
        self.ini.write_text("# IBC\n" + "".join(f"{key}={value}\n" for key, value in values.items()))
        self.ini.chmod(0o600)

    def plan(self, **more: object) -> None:
        """Set what the next logins do, in order."""
        values = {"api_port": self.api_port, "broker_port": self.broker.port, **more}
        (self.folder / "plan.json").write_text(json.dumps(values))

    def do(self, order: str) -> None:
        """Make the stand-in do this. Returns once it has read the command."""
        path = self.folder / "do"
        path.with_suffix(".new").write_text(order)
        path.with_suffix(".new").rename(path)
        deadline = time.monotonic() + 5
        while path.exists():
            assert time.monotonic() < deadline, f"nobody did {order!r}"
            time.sleep(0.005)

    def close(self) -> None:
        """End what a test has left running, and fail the test."""
        deadline = time.monotonic() + 2
        while (left := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"processes left behind: {list(left.values())}"

    def _processes(self) -> dict[int, str]:
        """The running processes with this folder in their command line, where the system shows them."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(self.folder) in words and process_identity(int(folder.name)):
                    found[int(folder.name)] = words
        return found

    @property
    def java_pid(self) -> int:
        return int((self.folder / "java.pid").read_text())

    def settings(self, driver: str, **more: Any) -> dict[str, Any]:
        """The table ``[ibkr.gateway]`` for a driver."""
        given: dict[str, dict[str, Any]] = {
            "ibc": {
                "version": "1045",
                "ibc_path": str(self.folder / "ibc"),
                "ibc_ini": str(self.ini),
                "tws_path": str(self.jts),
                "settings_path": str(self.folder / "settings"),
                "java_path": str(self.bin),
                "mode": "paper",
            },
            "command": {"start": f"{self.bin / 'java'} ibcalpha.ibc.IbcGateway {self.ini}"},
            "docker": {"container": "ib-gateway", "docker": str(self.bin / "docker")},
            "systemd": {"unit": "ibgateway.service"},
            "ibc2": {"ibc2": str(self.bin / "ibc2"), "ibc2_home": str(self.folder / "ibc2-home")},
        }
        return {"driver": driver, "state_dir": str(self.folder / "state"), "stop_grace": 5.0, **given[driver], **more}

    def config(self, driver: str, gateway: dict[str, Any] | None = None, **more: Any) -> Config:
        """A configuration for the API port of this machine."""
        values = {"region": "none", "refused_every": 0.05, "closed_every": 0.05, "client_id_grace": 5.0, **more}
        table = self.settings(driver, **(gateway or {}))
        return load_config(port=self.api_port, client_id=7, gateway=table, **values)


@pytest.fixture
def broker() -> Iterator[ThreadedGateway]:
    """The simulated gateway behind the stand-in. Its orders and positions remain after the program has ended."""
    with ThreadedGateway(id_hold=0) as gateway:
        yield gateway


@pytest.fixture
def machine(tmp_path: Path, broker: ThreadedGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for name in [name for name in os.environ if name.startswith("IBKR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    machine = Machine(tmp_path, broker)
    yield machine
    machine.close()


class Watched:
    """A driver that is monitored: its states in order, and a wait for one."""

    def __init__(self, cfg: Config) -> None:
        self.settings = cfg.ibkr.gateway
        self.store = GatewayStore(self.settings)
        self.driver = make_driver(self.settings, self.store)
        self.states: list[GatewayStatus] = []
        self._waited_for = 0
        self._changed = asyncio.Event()
        self.monitor = GatewayMonitor(self.driver, self._note)

    def _note(self) -> None:
        self.states.append(self.monitor.status())
        self._changed.set()

    @property
    def status(self) -> GatewayStatus:
        return self.monitor.status()

    async def until(self, state: GatewayState, within: float = 10.0) -> GatewayStatus:
        """Wait for the next occurrence of this state, after the last one that was waited for."""
        async with asyncio.timeout(within):
            while True:
                for number in range(self._waited_for, len(self.states)):
                    if self.states[number].state is state:
                        self._waited_for = number + 1
                        return self.states[number]
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def watched() -> Callable[[Config], Any]:
    """Monitors a driver: ``async with watched(cfg) as gateway``. The gateway is stopped at the end."""

    @asynccontextmanager
    async def watch(cfg: Config, *, leave: bool = False) -> AsyncIterator[Watched]:
        gateway = Watched(cfg)
        following = asyncio.create_task(gateway.monitor.run())
        try:
            yield gateway
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            if not leave:
                with suppress(Exception):
                    await gateway.driver.stop()
            await gateway.driver.close()
            gateway.store.close()

    return watch


class Clock:
    """A clock that a test sets. Monotonic and wall time advance together, by jumps and with real time."""

    def __init__(self, wall: datetime) -> None:
        self.jump_to(wall)

    def jump_to(self, wall: datetime) -> None:
        self.wall = wall
        self._began = time.monotonic()

    def jump(self, seconds: float) -> None:
        self.jump_to(self._wall + timedelta(seconds=seconds))

    def __call__(self) -> Now:
        return Now((self._wall - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds(), self._wall)

    @property
    def _wall(self) -> datetime:
        return self.wall + timedelta(seconds=time.monotonic() - self._began)


@pytest.fixture
def supervised() -> Callable[..., Any]:
    """Runs a supervisor: ``async with supervised(cfg, now=clock) as supervisor``."""

    @asynccontextmanager
    async def run(cfg: Config, **options: Any) -> AsyncIterator[Supervisor]:
        supervisor = Supervisor(cfg, **options)
        running = asyncio.create_task(supervisor.run())
        try:
            yield supervisor
        finally:
            supervisor.stop()
            await running

    return run


@pytest.fixture
def state_is() -> Callable[..., Any]:
    """Waits for a state of a supervisor's gateway, as its connector shows it."""

    async def wait(supervisor: Supervisor, holds: Callable[[Any], bool], within: float = 15.0) -> Any:
        async with asyncio.timeout(within):
            async with aclosing(supervisor.connector.changes()) as changes:  # type: ignore[type-var]
                async for status in changes:
                    if holds(status):
                        return status
        raise AssertionError("changes() ended")

    return wait


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Polls until something holds that causes no event, for example a line in a log."""

    async def wait(holds: Callable[[], object], within: float = 10.0) -> None:
        async with asyncio.timeout(within):
            while not holds():  # noqa: ASYNC110 - nobody sets an event
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def soon(stopwatch: Any) -> Callable[[], Any]:
    """Fails if the block takes more than a second. The time that other programs took is not counted."""

    @contextmanager
    def within() -> Iterator[None]:
        elapsed = stopwatch()
        yield
        assert elapsed() < 1.0

    return within
