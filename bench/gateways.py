"""The other side: a gateway in a process of its own, as the real one is."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ibkr.simulator import Gateway

HOST = "127.0.0.1"


class GatewayProcess:
    """The simulated gateway, for many clients and without a hold on their ids."""

    def __init__(self, port: int, control: int) -> None:
        self.port, self.control = port, control

    def fault(self, name: str, *args: object) -> None:
        """Carry out a fault. Blocks for a moment. Raises ``RuntimeError`` if it is refused."""
        control = http.client.HTTPConnection(HOST, self.control)
        control.request("POST", f"/faults/{name}", json.dumps({"args": args}), {"Content-Type": "application/json"})
        answer = control.getresponse()
        text = answer.read().decode()
        control.close()
        if answer.status != http.client.OK:
            raise RuntimeError(f"the gateway refused {name} {args}: {text}")


@contextmanager
def gateway() -> Iterator[GatewayProcess]:
    """The simulated gateway, until the block ends."""
    with _running("bench.gateways") as (port, control):
        yield GatewayProcess(port, control)


@contextmanager
def firehose() -> Iterator[int]:
    """The port of a gateway that bursts."""
    with _running("bench.firehose") as (port,):
        yield port


@contextmanager
def answering() -> Iterator[tuple[int, int]]:
    """The ports of two gateways that answer each request by itself: with an empty and with a large account."""
    with _running("bench.answers") as (empty, large):
        yield empty, large


@contextmanager
def _running(module: str) -> Iterator[list[int]]:
    with subprocess.Popen([sys.executable, "-m", module], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.terminate()


async def _serve() -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with Gateway(id_hold=0, max_clients=400, on_rate="off", control_port=0) as served:
        print(served.port, served.control_port, flush=True)
        await over.wait()


if __name__ == "__main__":
    asyncio.run(_serve())
