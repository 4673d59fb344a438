"""The gateways that benchmarks connect to. Like a real gateway, each runs in a separate process."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

from ibkr.simulator import Gateway

HOST = "127.0.0.1"


class GatewayProcess:
    """The simulated gateway, for many clients. It releases a client id as soon as the client has disconnected."""

    def __init__(self, port: int, control: int) -> None:
        self.port, self.control = port, control

    def fault(self, name: str, *args: object) -> None:
        """Carry out a fault, and block until it is done. Raises ``RuntimeError`` if the gateway refuses the fault."""
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
def gateways(count: int) -> Iterator[list[GatewayProcess]]:
    """This many simulated gateways, in one process."""
    with _running("bench.gateways", str(count)) as ports:
        yield [GatewayProcess(*pair) for pair in zip(ports[::2], ports[1::2], strict=True)]


@contextmanager
def firehose() -> Iterator[int]:
    """The port of a gateway that sends bursts of ticks."""
    with _running("bench.firehose") as (port,):
        yield port


@contextmanager
def answering() -> Iterator[tuple[int, int]]:
    """The ports of two gateways that answer from prepared data: an empty account and a large account."""
    with _running("bench.answering_gateway") as (empty, large):
        yield empty, large


@contextmanager
def _running(module: str, *arguments: str) -> Iterator[list[int]]:
    with subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield [int(port) for port in process.stdout.readline().split()]
        finally:
            process.terminate()


async def _serve(count: int) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with AsyncExitStack() as opened:
        served = [Gateway(id_hold=0, max_clients=400, on_rate="off", control_port=0) for _ in range(count)]
        for each in served:
            await opened.enter_async_context(each)
        print(*(port for each in served for port in (each.port, each.control_port)), flush=True)
        await over.wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
