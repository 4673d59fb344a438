"""The driver ``ibc2`` with the real package from PyPI, its real ``ibcstart.sh`` and a stand-in for java.

The driver ``ibc`` runs with that script, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ibkr.core.gateway_status import GatewayState as S
from ibkr.gateway.driver_interface import DriverError
from tests.unused_port import unused_port

from .conftest import SECRET, Machine
from .test_supervisor import FAST, QUICK, ready

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for java is a shell script"),
]

SOON = 1.5  # ibc2 itself checks once per second


ENVIRONMENT = Path(__file__).parents[2] / ".clients" / "ibc2"


@pytest.fixture
def home(tmp_path, broker, monkeypatch):
    """A complete setup of ibc2: folder, password file, and an installed gateway."""
    folder = ENVIRONMENT
    if not (folder / ".made").exists():
        pytest.fail(f"no environment for ibc2: run 'make clients', which makes {folder}", pytrace=False)
    monkeypatch.chdir(tmp_path)
    package = next(folder.glob("lib/python*/site-packages/ibc2"))
    machine = Machine(tmp_path, broker, package / "_ibc" / "scripts" / "ibcstart.sh")
    shutil.copy(package / "_ibc" / "IBC.jar", machine.folder / "ibc")
    (machine.bin / "ibc2").symlink_to(folder / "bin" / "ibc2")
    jre = machine.jts / "ibgateway" / "1045" / "jre" / "bin"
    jre.mkdir(parents=True)
    shutil.copy(machine.bin / "java", jre / "java")
    secret = tmp_path / "password"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    for name, value in {
        "HOME": tmp_path,
        "IBC2_PASSWORD_FILE": secret,
        "IBC2_TWS_SETTINGS_PATH": tmp_path / "settings",
    }.items():
        monkeypatch.setenv(name, str(value))
    home = tmp_path / "ibc2-home"
    home.mkdir()
    machine.command_port = unused_port()
    (home / "ibc2.toml").write_text(
        f'[gateway]\nusername = "edemo"\ntws_path = "{machine.jts}"\napi_port = {machine.api_port}\n'
        f"[supervisor]\ncommand_port = {machine.command_port}\nbackoff = [1]\n"
    )
    yield machine
    subprocess.run([machine.bin / "ibc2", "stop"], env=os.environ | {"IBC2_HOME": str(home)}, capture_output=True)
    machine.close()


@pytest.mark.timeout(120)
async def test_a_life_with_ibc2(home, watched, eventually):
    home.plan(logins=["second factor", "window", "refused"])
    async with watched(home.config("ibc2")) as gateway:
        assert await gateway.driver.problems() == []
        await gateway.driver.start()
        status = await gateway.until(S.NEEDS_SECOND_FACTOR, 20)
        assert status.next_login is not None
        home.do("approve")
        await gateway.until(S.RUNNING, SOON)
        assert await gateway.driver.is_running()
        assert (await gateway.driver.send("RESTART")).startswith("OK")
        await gateway.until(S.RESTARTING, 20)
        await gateway.until(S.RUNNING, 20)
        home.do("exit 1")
        await gateway.until(S.RESTARTING, 3)
        status = await gateway.until(S.UNKNOWN_WINDOW, 20)
        assert status.detail == "Prediction Markets"
        with pytest.raises(DriverError, match="ibc2 has no command for RECONNECTDATA"):
            await gateway.driver.send("RECONNECTDATA")
        home.do("exit 1")
        status = await gateway.until(S.LOGIN_FAILED, 20)
        assert status.detail == "Invalid username or password"
        lines = [line async for line in gateway.driver.log(3, follow=False)]
        assert any("Login failed" in line for line in lines)
        await gateway.driver.stop()
        await gateway.until(S.STOPPED, 5)
    assert not holds_secret(home)


@pytest.mark.timeout(120)
async def test_what_ibc2_restarts_by_itself_is_left_to_it(home, supervised, state_is):
    async with supervised(home.config("ibc2", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready, 30)
        home.do("crash")
        await state_is(supervisor, lambda status: status.gateway.state is S.RESTARTING, 5)
        await state_is(supervisor, ready, 30)
        assert supervisor.store.read_restarts() == ()
    assert await supervisor.driver.is_running(), "it is not ours to end"


async def test_ibc2_that_is_not_set_up(home, watched, monkeypatch):
    (home.folder / "ibc2-home" / "ibc2.toml").unlink()
    monkeypatch.delenv("IBC2_PASSWORD_FILE")
    async with watched(home.config("ibc2")) as gateway:
        problems = [problem.message for problem in await gateway.driver.problems()]
        assert any(message.startswith("ibc2 doctor: ") for message in problems)
        with pytest.raises(DriverError, match="'ibc2 start' failed: "):
            await gateway.driver.start()


@pytest.mark.timeout(120)
async def test_the_driver_ibc_on_the_real_start_script(home, supervised, state_is):
    """A hang that RESTART ends; a second one that needs a kill, and a login with the second factor."""
    home.write_ini(CommandServerPort=home.command_port)
    async with supervised(home.config("ibc", FAST, **QUICK)) as supervisor:
        await state_is(supervisor, ready, 30)
        before = home.java_pid
        home.do("hang")
        await state_is(supervisor, lambda status: status.gateway.state is S.RESTARTING)
        home.do("wake")
        await state_is(supervisor, ready, 30)
        assert home.java_pid != before
        home.do("exit 1111")
        status = await state_is(supervisor, lambda status: status.gateway.state is S.EXITED)
        assert status.gateway.exit_code == 1111
        assert "the second factor was not approved in time" in status.gateway.reason


def holds_secret(machine):
    """The files that contain the password, except the file that the test wrote it into."""
    files = (path for path in machine.folder.rglob("*") if path.is_file() and path.name != "password")
    return [path for path in files if SECRET.encode() in path.read_bytes() and path != machine.ini]
