"""Commands whose extra is not installed name it, and how to install it."""

from __future__ import annotations

import os

import pytest

EXTRAS = {
    "fleet": ["nats", "nkeys"],
    "serve": ["starlette", "uvicorn", "prometheus_client"],
    "alerts": ["apprise"],
}
"""The packages of each extra."""


@pytest.fixture
def without(surroundings, tmp_path):
    """Makes the packages of an extra impossible to import, in each process that is started after it."""

    def hide(extra: str) -> None:
        folder = tmp_path / "hidden"
        folder.mkdir()
        lines = [f"sys.modules[{name!r}] = None" for name in EXTRAS[extra]]
        (folder / "sitecustomize.py").write_text("\n".join(["import sys", *lines, ""]))
        before = surroundings["env"].get("PYTHONPATH", "")
        surroundings["env"]["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))

    return hide


@pytest.mark.parametrize(
    "args",
    [
        ("fleet", "status"),
        ("fleet", "status", "--watch"),
        ("fleet", "forget", "alpha"),
        ("fleet", "hand-over", "alpha"),
        ("halt", "--fleet"),
        ("resume", "--fleet"),
        ("serve", "--fleet", "--http", "127.0.0.1:0", "--port", "1"),
    ],
    ids=" ".join,
)
def test_without_the_extra_fleet(ibkr, without, args):
    without("fleet")
    done = ibkr(*args)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("ibkr: ibkr.fleet.servers = '...': a fleet needs the package nats-py, which is not")
    assert done.stderr.endswith("python -m pip install '/path/to/the/checkout[fleet]'\n")
    assert "Traceback" not in done.stderr


def test_without_the_extra_serve(ibkr, without):
    without("serve")
    done = ibkr("serve", "--port", "1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ibkr serve needs the package starlette, which is not installed.")


def test_without_the_extra_alerts(ibkr, without):
    without("alerts")
    done = ibkr("alerts", "test", IBKR_ALERTS_URLS='["ntfy://topic"]')
    assert (done.returncode, done.stdout) == (2, "")
    assert "need the package apprise, which is not installed" in done.stderr
    assert "Traceback" not in done.stderr
