"""Many visitors of every kind on a served connector: they delay other readers and the trading program only a little.

``IBKR_QUIET=1`` says that the machine does nothing else. Then the promised limits apply, and otherwise wider limits.
"""

import contextlib
import json
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ibkr.observe.history import History

IS_QUIET = bool(os.environ.get("IBKR_QUIET"))

# LOOK measures every 5 ms how late the event loop is. This is also the delay of a connector's callbacks.
LOOK = """
import asyncio, json, signal, sys, time

async def look(late, stop):
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        late.append(time.perf_counter() - began - 0.005)

def stopping():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop
"""
# PROGRAM trades, and shows its connector with connector.serve(). It calls gc.freeze(), as in docs/serve.md. Otherwise,
# the garbage collections that hundreds of visitors cause would stop the whole program for up to 60 ms.
PROGRAM = f"""{LOOK}
import gc

from ibkr import IBConnector, Policy
from ibkr.simulator import ThreadedGateway

async def main(port):
    late, stop = [], stopping()
    connector = IBConnector("127.0.0.1", port, 7, policy=Policy(region="none"))
    await connector.connect_async()
    await connector.wait_ready_async(10)
    url = await connector.serve_async(0, history=sys.argv[1])
    served = int(url.split(":")[2].split("/")[0])
    gc.freeze()
    looking = asyncio.create_task(look(late, stop))
    print(json.dumps({{"port": served}}), flush=True)
    await stop.wait()
    await looking
    outages = connector.status.outages
    await connector.disconnect_async()
    print(json.dumps({{"late": max(late), "outages": outages}}), flush=True)

with ThreadedGateway(tick_interval=0.1) as gateway:
    asyncio.run(main(gateway.port))
"""
# COMMAND is `ibkr serve`. When its connector starts, the measurement of its loop also starts.
COMMAND = f"""{LOOK}
import contextlib, threading
from ibkr.cli import main
from ibkr.connector import IBConnector
from ibkr.simulator import ThreadedGateway

late, connectors, looking = [], [], []
connect = IBConnector.connect_async

async def connect_and_look(self, **options):
    connectors.append(self)
    assert threading.current_thread() is threading.main_thread()
    [page] = [thread for thread in threading.enumerate() if thread.name.startswith("ibkr page")]
    is_connected = await connect(self, **options)
    looking.append(asyncio.create_task(look(late, asyncio.Event())))
    return is_connected

IBConnector.connect_async = connect_and_look
with ThreadedGateway(tick_interval=0.1) as gateway:
    sys.argv[1:] = [
        "serve", "--http", "0", "--port", str(gateway.port), "--client-id", "7", "--json", "--history", sys.argv[1]
    ]
    with contextlib.suppress(SystemExit):
        main()
    [connector] = connectors
    print(json.dumps({{"late": max(late), "outages": connector.status.outages}}), flush=True)
"""
CONTROL = f"""{LOOK}
async def main():
    late, stop = [], stopping()
    print(flush=True)
    await look(late, stop)
    print(max(late), flush=True)

asyncio.run(main())
"""
BOTH = pytest.mark.parametrize("program", [PROGRAM, COMMAND], ids=["connector.serve()", "ibkr serve"])


@contextlib.contextmanager
def running(program, *args):
    """The process, and the first line that it has printed."""
    process = subprocess.Popen([sys.executable, "-c", program, *map(str, args)], stdout=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def ended(process):
    """Request the end of the process. Returns the last line that it prints."""
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=20)[0].splitlines()[-1]


def crowd(port, seconds, visitors):
    command = [sys.executable, str(Path(__file__).with_name("load.py")), *map(str, (port, seconds, visitors))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def resident(pid):
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024


@pytest.fixture
def history(tmp_path):
    """A history with a thousand outages and large gap reports."""
    file = tmp_path / "history.db"
    History(file).close()
    with contextlib.closing(sqlite3.connect(file)) as db, db:
        gap = json.dumps({"incomplete": ["x" * 300] * 100})
        rows = [(number, gap) for number in range(1, 1001)]
        db.executemany("INSERT INTO outages VALUES (?, 1, 2, 'recovered', 'session_lost', 'lost', '', ?)", rows)
    return file


def check(program, history, seconds, visitors, *, stall):
    with running(program, history) as (served, where), running(CONTROL) as (control, _):
        before = resident(served.pid)
        told = crowd(json.loads(where)["port"], seconds, visitors)
        grown = resident(served.pid) - before
        usual = float(ended(control))
        began = time.monotonic()
        found = json.loads(ended(served))
        took = time.monotonic() - began
    print(
        {name: value for name, value in told.items() if name != "health"},
        found,
        usual,
        grown,
        took,
        statistics.median(told["health"]),
    )
    assert told["told"].get("500", 0) == 0
    assert told["lost"] <= len(told["health"]) / 20
    assert statistics.median(told["health"]) < (0.5 if IS_QUIET else 2)
    assert found["late"] - usual < stall
    assert grown < 200
    assert found["outages"] == 0
    assert took < (2 if IS_QUIET else 4)


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc, and sends SIGTERM")
@BOTH
def test_a_small_crowd_for_a_moment(program, history):
    check(program, history, 1.5, 60, stall=0.5)


@pytest.mark.rest
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc, and sends SIGTERM")
@BOTH
def test_500_visitors_for_a_minute(program, history):
    check(program, history, 60, 500, stall=0.05 if IS_QUIET else 2.0)
