"""Heartbeats from the event loop: they stop when the loop hangs."""

import asyncio
import os
import socket
import sys
import threading
import time

import pytest

from ibkr.core.alert_settings import AlertSettings
from ibkr.observe.heartbeat import Heartbeat, LivenessReporter, SystemdNotifier, ping

from .http_receiver import receiving


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


async def beats(receiver, count):
    await asyncio.to_thread(receiver.wait_for, lambda receiver: len(receiver.beats) >= count)


async def ended(heart):
    """Wait until no more beats come and the last request is over."""
    heart.close()
    for thread in threading.enumerate():
        if thread.name == "ibkr heartbeat":
            await asyncio.to_thread(thread.join, 10)


async def test_the_heartbeat_goes_on_and_stops_when_the_loop_hangs(receiver):
    heart = Heartbeat(f"http://127.0.0.1:{receiver.port}/beat", 0.05)
    heart.open()
    await beats(receiver, 5)
    count = len(receiver.beats)
    time.sleep(0.5)  # noqa: ASYNC251 - the loop hangs
    assert len(receiver.beats) <= count + 1, "one was under way"
    await beats(receiver, count + 3)
    await ended(heart)


async def test_a_service_that_is_gone_is_reported_once_and_no_secret_with_it(receiver, caplog):
    receiver.answers += [500] * 1000
    heart = Heartbeat(f"http://127.0.0.1:{receiver.port}/a-secret", 0.05)
    heart.open()
    await asyncio.to_thread(receiver.wait_for, lambda receiver: len(receiver.answers) < 998)
    await ended(heart)
    told = [record.message for record in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("The heartbeat does not reach 127.0.0.1: HTTP Error 500")
    assert "a-secret" not in told[0]


def test_a_single_heartbeat(receiver):
    ping(f"http://127.0.0.1:{receiver.port}/beat")
    assert receiver.beats == ["/beat"]
    receiver.answers += [404]
    with pytest.raises(OSError, match="404"):
        ping(f"http://127.0.0.1:{receiver.port}/beat")


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """The socket on which systemd would listen."""
    if sys.platform != "linux":
        pytest.skip("systemd runs on Linux")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


async def test_systemd_is_notified_and_its_watchdog_hears_from_the_loop(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    life = LivenessReporter(AlertSettings())
    life.open()
    told = [await asyncio.to_thread(systemd.recv, 100) for _ in range(5)]
    assert told == [b"READY=1", *[b"WATCHDOG=1"] * 4]
    life.close()
    while (last := systemd.recv(100)) == b"WATCHDOG=1":
        pass
    assert last == b"STOPPING=1"
    systemd.settimeout(0.2)
    with pytest.raises(TimeoutError):
        systemd.recv(100)


@pytest.mark.parametrize(
    "variables",
    [
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "/no/such/socket"},
        {"WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
async def test_without_systemd_nothing_happens(systemd, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    service = SystemdNotifier()
    service.open()
    await asyncio.sleep(0.02)
    service.close()
    if "NOTIFY_SOCKET" not in variables:
        assert (systemd.recv(100), systemd.recv(100)) == (b"READY=1", b"STOPPING=1")


async def test_an_abstract_address(monkeypatch):
    if sys.platform != "linux":
        pytest.skip("only Linux has them")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0ibkr-test-{os.getpid()}")
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@ibkr-test-{os.getpid()}")
        SystemdNotifier().notify("READY=1")
        assert listening.recv(100) == b"READY=1"


async def test_an_answer_that_is_not_http_is_reported(caplog, monkeypatch):
    """Whatever the service answers, the thread of the request ends without an error of its own."""
    failed = []
    monkeypatch.setattr(threading, "excepthook", failed.append)

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop())
        writer.close()

    answers = [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"HTTP/1.1 9 \xff\r\n\r\n"]
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        for _ in tuple(answers):
            caplog.clear()
            heart = Heartbeat(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a-secret", 60)
            heart.open()
            await ended(heart)
            assert ["not valid HTTP" in record.message for record in caplog.records] == [True]
    assert not failed
