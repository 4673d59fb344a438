"""The examples in docs/gateway.md work."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import tomllib
from pathlib import Path

import pytest

from ibkr.core.gateway_settings import DRIVERS, GatewaySettings
from ibkr.core.gateway_status import GatewayState
from ibkr.simulator import ThreadedGateway

PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def rows(heading):
    table = PAGE.split(f"| {heading} |")[1].split("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip().strip("`") for row in table]


def test_there_is_a_setup_for_each_driver():
    tables = [tomllib.loads(text)["ibkr"]["gateway"] for text in blocks("toml")]
    assert {GatewaySettings(**table).driver for table in tables} == set(DRIVERS) == set(rows("driver"))


def test_every_state_is_reported():
    assert rows("`state`") == [str(state) for state in GatewayState]


def health_check():
    """The command of the container's health check, run as Docker runs it."""
    [text] = re.findall(r'test: (\["CMD", "bash".*\])', blocks("yaml")[0])
    return [word.replace("$$", "$") for word in json.loads(text)[1:]]


@pytest.mark.parametrize("fault", ["", "silent", "freeze"])
def test_the_health_check_needs_a_gateway_that_answers(fault):
    with ThreadedGateway() as gateway:
        if fault:
            gateway.fault(fault)
        words = [word.replace("4002", str(gateway.port)).replace("timeout 5", "timeout 0.5") for word in health_check()]
        assert (subprocess.run(words, timeout=20, check=False).returncode == 0) is not bool(fault)


def test_the_health_check_of_a_port_forwarder_with_nothing_behind_it():
    with socket.create_server(("127.0.0.1", 0)) as forwarder:
        words = [word.replace("4002", str(forwarder.getsockname()[1])) for word in health_check()]
        with subprocess.Popen(words) as process:
            forwarder.accept()[0].close()
            assert process.wait(10) != 0
