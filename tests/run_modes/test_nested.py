"""Blocking calls in a handler of the client library's events, in loops that can nest and in others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ibkr.simulator import ThreadedGateway

PROGRAM = Path(__file__).parent / "programs" / "blocking_handler.py"


@pytest.mark.parametrize("way", ["script", "notebook"])
@pytest.mark.parametrize("loop", ["plain", "patched"] if sys.version_info < (3, 14) else ["plain"])
def test_a_handler_of_connected_may_block_in_every_session(
    gateway: ThreadedGateway, backend: str, way: str, loop: str
) -> None:
    program = PROGRAM.read_text(encoding="utf-8").replace("from ib_async", f"from {backend}")
    command = [sys.executable, "-c", program, str(gateway.port), way, loop, backend]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            told = "AAPL READY" if loop == "patched" else "refused True"
            assert process.stdout is not None
            assert process.stdout.readline() == f"1 {told}\n"
            gateway.fault("reset")
            output, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (output, process.returncode) == (f"2 {told}\n", 0), errors
    assert len(errors) < 10_000


BLOCKS_AFTER_A_SESSION = """
import logging
import sys

from ib_async import util

from ibkr import IBConnector, Policy

logging.basicConfig()
util.startLoop()
connector = IBConnector("127.0.0.1", int(sys.argv[1]), 7, policy=Policy(region="none"), backend="ib_async")


async def cell():
    connector.connect()
    connector.ib.disconnectedEvent += lambda: connector.sleep(0.5)
    connector.reconnect()
    print(connector.wait_ready(5).state.name)
    connector.disconnect()


util.run(cell())
"""


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="nest_asyncio does not support it")
def test_a_handler_of_disconnected_may_block(gateway: ThreadedGateway, backend: str) -> None:
    program = BLOCKS_AFTER_A_SESSION.replace("ib_async", backend)
    command = [sys.executable, "-W", "ignore", "-c", program, str(gateway.port)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.stdout, ended.returncode) == ("READY\n", 0), ended.stderr
    assert "Traceback" not in ended.stderr
