"""Two minutes of a hostile gateway: memory, log and the loop's stalls stay small, and the status stays true."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ibkr import ConnectionState, IBConnector, NotReady, Policy
from tests.fixture_types import AAPL

SECONDS = float(os.environ.get("HOSTILE_SECONDS", "120"))
WARM_UP = 5.0


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def stalls(seconds: float) -> float:
    """Return the longest time that a callback of this event loop has waited."""
    longest, loop = 0.0, asyncio.get_running_loop()
    until = loop.time() + seconds
    while (before := loop.time()) < until:
        await asyncio.sleep(0.005)
        longest = max(longest, loop.time() - before - 0.005)
    return longest


class Written(logging.Handler):
    """Counts the characters of the log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.characters = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.characters += len(self.format(record))


@pytest.fixture
async def port() -> AsyncIterator[int]:
    seed = os.environ.get("HOSTILE_SEED") or str(random.SystemRandom().randrange(2**32))
    print("HOSTILE_SEED", seed)
    program = Path(__file__).with_name("hostile_gateway.py")
    gateway = await asyncio.create_subprocess_exec(sys.executable, str(program), seed, stdout=asyncio.subprocess.PIPE)
    assert gateway.stdout is not None
    yield int(await gateway.stdout.readline())
    gateway.kill()
    await gateway.wait()


async def watch(connector: IBConnector) -> dict[str, int]:
    """Check every second whether the status is true. Returns how often each state was seen."""
    states: dict[str, int] = {}
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        await asyncio.sleep(1)
        status = connector.status
        states[str(status.state)] = states.get(str(status.state), 0) + 1
        assert status.state is not ConnectionState.FAILED, status.reason
        json.dumps(status.to_dict(), allow_nan=False)
        json.dumps([each.to_dict() for each in connector.subscriptions], allow_nan=False)
        if status.state is ConnectionState.READY:
            try:
                await connector.ensure_fresh_async(30)
            except NotReady as error:
                pytest.fail(f"READY, and it does not answer: {error}")
    return states


@pytest.mark.rest
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="reads the process' memory from /proc")
async def test_a_hostile_gateway(port: int) -> None:
    written = Written()
    loggers = [logging.getLogger(name) for name in ("ibkr", "ib_async")]
    for logger in loggers:
        logger.addHandler(written)
        logger.propagate = False
    connector = IBConnector("127.0.0.1", port, 7, policy=Policy(region="none"))
    control: list[float] = []
    connecting: asyncio.Task[bool] | None = None
    try:
        connecting = asyncio.create_task(connector.connect_async(wait=True))  # if 1101 repeats, this may never end
        await asyncio.sleep(WARM_UP)
        connector.ib.reqMktData(AAPL)
        assert connector.status.server_version == 178
        before, log_before = resident(), written.characters
        thread = threading.Thread(target=lambda: control.append(asyncio.run(stalls(SECONDS))))
        thread.start()
        watching = asyncio.create_task(stalls(SECONDS))
        states = await watch(connector)
        longest = await watching
        thread.join()
        grown, logged = resident() - before, written.characters - log_before
        print(f"memory +{grown / 1e6:.1f} MB, log {logged / 1e3:.0f} kB, stalls {longest:.3f} s, {control[0]:.3f} s")
        print(states)
        assert grown <= 32e6
        assert logged <= 1e6
        assert longest - control[0] <= 0.05
    finally:
        await connector.disconnect_async()
        if connecting is not None:
            await connecting
        for logger in loggers:
            logger.removeHandler(written)
            logger.propagate = True
