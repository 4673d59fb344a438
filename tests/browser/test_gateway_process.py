"""The gateway's process on the page: its state immediately, and a restart with a confirmation."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ..gateway.conftest import SECRET, Machine
from .conftest import AXE, Server

WORDS = "#process-words"


@pytest.fixture
def machine(tmp_path, gateway):
    """A stand-in for the gateway program, supervised by ``ibkr gateway run``. Its login waits for a second factor."""
    machine = Machine(tmp_path, gateway)
    machine.plan(logins=["second factor"])
    values = "".join(f"{key} = {json.dumps(value)}\n" for key, value in machine.settings("ibc").items())
    (tmp_path / "ibkr.toml").write_text(f"[ibkr]\nport = {machine.api_port}\n[ibkr.gateway]\n{values}")
    env = {key: value for key, value in os.environ.items() if not key.startswith("IBKR_")}
    process = subprocess.Popen([sys.executable, "-P", "-m", "ibkr", "gateway", "run"], cwd=tmp_path, env=env)
    yield machine
    process.terminate()
    process.wait(20)
    machine.close()


@pytest.fixture
def server(tmp_path, machine):
    server = Server(tmp_path, machine.api_port)
    server.start()
    yield server
    server.stop()


def test_its_state_and_its_restart(machine, server, visit, gateway):
    watched = visit(server.url)
    page = watched.page
    shows(page, WORDS, "waits for your second factor: approve it in IBKR Mobile")
    button = page.get_by_role("button", name="Restart the gateway").first
    button.wait_for()
    assert button.is_disabled(), "a restart would ask the phone again"
    shows(page, "#reason", "the gateway waits for your second factor: approve it in IBKR Mobile")
    shows(page, "#alert", "Needs attention: the gateway waits for your second factor since")
    machine.do("approve")
    page.wait_for_selector('html[data-state="READY"]')
    shows(page, WORDS, "is running, since")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert violations(page) == []

    gateway.place_order("AAPL", "BUY", 10, limit_price=1.0)
    button.click()
    assert violations(page) == []
    page.get_by_role("button", name="Go back").last.click()
    assert page.locator("#process-answer").text_content() == ""
    ask_for_restart(page, button)
    shows(page, "#process-answer", "1 order works at the broker, and nobody watches them during a restart.")
    gateway.cancel_order("AAPL")
    before = machine.java_pid
    ask_for_restart(page, button)
    shows(page, "#process-answer", "the gateway restarts, without a login.")
    page.wait_for_selector('html[data-state="READY"]')
    shows(page, WORDS, "Restarts in 24 hours: 1.")
    assert machine.java_pid != before
    assert SECRET not in page.content()
    assert watched.complaints == []


def ask_for_restart(page, button):
    button.click()
    page.locator("#sure-process").get_by_role("button", name="Restart the gateway").click()


def shows(page, selector, words):
    """Waits until an element has this text."""
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector).textContent.includes(words)", arg=[selector, words]
    )


def violations(page):
    page.wait_for_timeout(350)  # in this time, the colors change gradually
    found = page.evaluate("axe.run().then(found => found.violations)")
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found if each["impact"] != "minor"]
