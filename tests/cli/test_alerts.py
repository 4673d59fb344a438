"""Alerts of ``ibkr serve`` and ``ibkr alerts test``, as a phone would receive them."""

import json
import os
import signal
import socket
import sys
import time

import pytest

from tests.observe.http_receiver import receiving
from tests.stopwatch import slowness

from .test_serve import wait_ready


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


@pytest.fixture
def settings(receiver, tmp_path):
    """An ibkr.toml with alerts and a heartbeat for the receiver."""
    (tmp_path / "ibkr.toml").write_text(
        f'[ibkr]\noutage_alert_after = 0.2\n[ibkr.alerts]\nurls = ["{receiver.url}"]\n'
        f'heartbeat_url = "http://127.0.0.1:{receiver.port}/beat"\nheartbeat_every = 1\n'
    )


def test_an_outage_is_reported_in_order_and_once_also_under_sigterm(start, simulated, receiver, settings, stopwatch):
    process = start("serve", "--http", 0, "--port", simulated.port, "--json")
    wait_ready(json.loads(process.stdout.readline())["port"])
    simulated.fault("restart 1")
    receiver.wait_for(lambda receiver: len(receiver.alerts) == 2)
    simulated.fault("restart 3600")
    receiver.wait_for(lambda receiver: len(receiver.alerts) == 3)
    receiver.answers += [503]  # so an alert is still being sent when the signal comes
    simulated.fault("clear")
    receiver.wait_for(lambda receiver: not receiver.answers)
    elapsed = stopwatch()
    process.send_signal(signal.SIGTERM if sys.platform != "win32" else signal.CTRL_BREAK_EVENT)
    _, talk = process.communicate(timeout=30)
    assert elapsed() < 2 + slowness()
    assert (process.returncode, "Traceback" in talk) == (0, False), talk
    assert receiver.titles == ["RECONNECTING", "READY again"] * 2
    beats = len(receiver.beats)
    time.sleep(1.2)  # no beat and no alert must come in this time
    assert (len(receiver.beats), len(receiver.alerts)) == (beats, 4)


@pytest.mark.rest
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP there")
def test_the_heartbeat_stops_with_the_program(start, simulated, receiver, settings):
    process = start("serve", "--http", 0, "--port", simulated.port, "--json")
    receiver.wait_for(lambda receiver: len(receiver.beats) >= 2)
    process.send_signal(signal.SIGSTOP)
    beats = len(receiver.beats)
    time.sleep(3.2)  # a running program would send three beats in this time
    assert len(receiver.beats) <= beats + 1, "one was under way"
    process.send_signal(signal.SIGCONT)
    receiver.wait_for(lambda receiver: len(receiver.beats) > beats)


def test_a_test_message_reaches_every_receiver(ibkr, receiver, settings):
    done = ibkr("alerts", "test")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == "heartbeat: accepted"
    [alert] = receiver.alerts
    assert (alert["title"], alert["message"]) == (
        f"IBKR on {socket.gethostname()}: a test",
        "This is a test. Alerts reach you.",
    )
    assert receiver.beats == ["/beat"]


def test_the_most_detailed_log_shows_no_secret(ibkr, receiver, settings):
    receiver.answers += [200, 500]
    for _ in range(2):
        done = ibkr("-vv", "alerts", "test")
        assert "a-secret-path" not in done.stderr
        assert " DEBUG " in done.stderr, "other details are there"


def test_what_does_not_get_through_is_reported(ibkr, receiver, settings):
    receiver.answers += [500, 404]
    done = ibkr("alerts", "test", "--json")
    assert done.returncode == 1
    [service, heartbeat] = json.loads(done.stdout)
    assert (service["ok"], heartbeat["ok"]) == (False, False)
    assert "404" in heartbeat["error"]


@pytest.mark.parametrize(
    ("settings_of", "words"),
    [
        ("", "has no receiver"),
        ('urls = ["nobody://a-secret"]', "apprise does not know nobody:// URLs"),
        ('urls = ["a-secret"]', "must be a list of URLs of apprise"),
    ],
)
def test_settings_without_a_usable_receiver_are_refused(ibkr_here, tmp_path, settings_of, words):
    (tmp_path / "ibkr.toml").write_text(f"[ibkr.alerts]\n{settings_of}\n")
    for args in (("alerts", "test"), ("serve", "--http", 0))[: 1 + ("nobody" in settings_of)]:
        done = ibkr_here(*args)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert "a-secret" not in done.stderr
        assert "Traceback" not in done.stderr


def test_without_apprise_it_says_what_to_install(ibkr, tmp_path):
    (tmp_path / "ibkr.toml").write_text('[ibkr.alerts]\nurls = ["ntfy://topic"]\n')
    (tmp_path / "broken" / "apprise").mkdir(parents=True)
    (tmp_path / "broken" / "apprise" / "__init__.py").write_text("raise ImportError('none')\n")
    path = os.pathsep.join([str(tmp_path / "broken"), os.environ.get("PYTHONPATH", "")])
    done = ibkr("alerts", "test", PYTHONPATH=path)
    assert done.returncode == 2
    assert "apprise, which is not installed" in done.stderr
