"""The moments of a connection at which uvloop does not do what asyncio does."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest

from ibkr import ConnectionState
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make

uvloop = pytest.importorskip("uvloop", reason="uvloop has no build for Windows")


def test_a_connect_that_is_cancelled_at_any_turn_of_the_loop_can_be_ended_and_repeated(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        for turns in range(60):
            connector = make()
            connecting = asyncio.create_task(connector.connect_async())
            for _ in range(turns):
                await asyncio.sleep(0)
            connecting.cancel()
            await asyncio.wait({connecting})
            async with asyncio.timeout(5):
                await connector.disconnect_async()
                assert await connector.connect_async()
                await connector.disconnect_async()
            assert connector.status.state is ConnectionState.DISCONNECTED

    uvloop.run(main())
    assert "nternal error" not in caplog.text


PROGRAM = """
import logging
import sys

import uvloop

from ibkr import IBConnector

logging.basicConfig()
connectors = [IBConnector("127.0.0.1", int(sys.argv[1]), client_id) for client_id in (7, 8)]


async def main():
    for connector in connectors:
        await connector.connect_async()


if sys.argv[2] == "run":
    uvloop.run(main())
    print(*(connector.status.reason for connector in connectors), sep=", ")
else:
    loop = uvloop.new_event_loop()
    loop.run_until_complete(main())
    if sys.argv[2] == "other thread":
        import threading
        threading.Thread(target=loop.run_forever, daemon=True).start()
    print("connected")
"""


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("run", "its event loop was closed, its event loop was closed\n"),
        ("idle", "connected\n"),
        ("other thread", "connected\n"),
    ],
)
def test_a_program_that_forgets_to_disconnect_ends_quietly(gateway: ThreadedGateway, end: str, said: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(gateway.port), end]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    # In a daemon thread, a timer of uvloop that is due after the end of the interpreter crashes: 2 of 100 times.
    crashes = (0, -signal.SIGSEGV) if end == "other thread" and sys.platform != "win32" else (0,)
    assert ended.stdout == said
    assert ended.returncode in crashes
    assert "nternal error" not in ended.stderr
    assert "Traceback" not in ended.stderr
    gateway.wait_for(lambda gateway: not gateway.client_ids)
