"""A fleet under random failures: leader, standby and NATS servers are killed, frozen and cut off.

``python -m soak.fleet [MOMENTS] [SEED]``. The simulator's record decides: after the first order of a new leader, no
order of an earlier leader arrives; no order arrives twice; a killed leader is replaced within the lease time plus two
seconds. Cutting the network needs root, iproute2 and iptables; without them, this failure is skipped.

This file has over 300 lines because the hosts, the cluster and the programs are one experiment.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client
from nats.js.kv import KeyValue

from ibkr.fleet.nats_server import NatsServer
from ibkr.fleet.nats_store import decode_entry, read_entries
from ibkr.simulator import Gateway
from soak.harness import NotHeld
from tests.network.lab import Host, missing, run

LEASE = 3.0
REPLACED_WITHIN = LEASE + 2.0 + float(os.environ.get("SOAK_PATIENCE", "0"))
"""The promised time in seconds, and the time that a busy machine may need in addition."""
SETTLED_WITHIN = 40.0
"""Seconds after any moment within which somebody trades again."""
NODES = 3
GATEWAY = "10.77.0.254"
"""The address of this machine on its bridge, where the gateway listens."""


class Network:
    """A bridge of this machine. Programs and servers are connected to the bridge, each in its own network namespace."""

    def __init__(self) -> None:
        self._bridge = f"soak{os.getpid()}"
        run("ip", "link", "add", self._bridge, "type", "bridge")
        run("ip", "addr", "add", f"{GATEWAY}/24", "dev", self._bridge)
        run("ip", "link", "set", self._bridge, "up")

    def remove(self) -> None:
        """Remove the bridge."""
        run("ip", "link", "del", self._bridge)

    def connect(self, host: Host, number: int) -> str:
        """Connect a host, and return its address."""
        address, port = f"10.77.0.{number}", f"{self._bridge}p{number}"
        run("ip", "link", "add", "eth0", "netns", host.name, "type", "veth", "peer", "name", port)
        run("ip", "link", "set", port, "master", self._bridge, "up")
        host.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        return address


class Place:
    """Where one program or server runs: on a host of its own, or on this machine if networks cannot be made."""

    def __init__(self, network: Network | None, number: int) -> None:
        self._host = None if network is None else Host(f"ibkr-soak-{os.getpid()}-{number}")
        self.address = "127.0.0.1" if network is None or self._host is None else network.connect(self._host, number)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Processes that this thread starts run there."""
        with nullcontext() if self._host is None else self._host.entered():
            yield

    def cut(self) -> None:
        """Drop all packets in both directions. The kernels on both sides do not notice this."""
        assert self._host is not None, "it needs a network"
        self._host.run("iptables", "-w", "-A", "INPUT", "!", "-i", "lo", "-j", "DROP")
        self._host.run("iptables", "-w", "-A", "OUTPUT", "!", "-o", "lo", "-j", "DROP")

    def mend(self) -> None:
        """Let all packets pass again."""
        assert self._host is not None, "it needs a network"
        self._host.run("iptables", "-w", "-F")

    def remove(self) -> None:
        """Remove the host."""
        if self._host is not None:
            self._host.remove()


class Cluster:
    """Three NATS servers."""

    def __init__(self, folder: Path, places: Sequence[Place]) -> None:
        self.places = places
        routes = [f"nats://{place.address}:{free_port()}" for place in places]
        self.nodes = []
        for number, (place, route) in enumerate(zip(places, routes, strict=True)):
            options = ["-n", f"node{number}", "--cluster_name", "soak", "--cluster", route]
            options += ["--routes", ",".join(other for other in routes if other != route)]
            options += ["--no_advertise"]
            self.nodes.append(NatsServer(folder / f"node{number}", place.address, arguments=options))

    def start(self) -> None:
        """Start all servers."""
        for number in range(len(self.nodes)):
            self.start_node(number)

    def start_node(self, number: int) -> None:
        """Start one server."""
        with self.places[number].entered():
            self.nodes[number].start()

    @property
    def urls(self) -> str:
        """The URLs of all servers."""
        return ",".join(
            f"nats://{place.address}:{node.url.rpartition(':')[2]}"
            for place, node in zip(self.places, self.nodes, strict=True)
        )

    async def leading(self) -> int:
        """The number of the server that leads the Raft group of the leases."""
        async with asyncio.timeout(SETTLED_WITHIN), self.client() as client:
            while True:
                with suppress(nats.errors.Error):
                    info = await client.jetstream().stream_info("KV_ibkr_leases")
                    if info.cluster is not None and info.cluster.leader:
                        return int(info.cluster.leader.removeprefix("node"))
                await asyncio.sleep(0.2)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client that knows all servers."""
        client = await nats.connect(self.urls.split(","), connect_timeout=1, max_reconnect_attempts=-1)
        try:
            yield client
        finally:
            await client.close()

    def stop(self) -> None:
        """Stop all servers."""
        for node in self.nodes:
            with suppress(ProcessLookupError):
                if node.pid:
                    os.kill(node.pid, signal.SIGCONT)
            node.stop()


async def everything(bucket: KeyValue) -> dict[str, dict[str, Any]]:
    """All keys and values in a bucket."""
    return {
        key: value
        for key, entry in (await read_entries(bucket, ">")).items()
        if (value := decode_entry(entry)) is not None
    }


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Program:
    """One program of the fleet. It is started again after each kill."""

    def __init__(self, place: Place, command: list[str], log: Path) -> None:
        self.place, self._command, self._log = place, command, log
        self.start()

    def start(self) -> None:
        """A new process."""
        with open(self._log, "ab") as log, self.place.entered():
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()


class Record:
    """What the gateway has received. Each request is read once."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.refs: list[str] = []
        self.reigns: list[str] = []

    def read(self) -> None:
        """Read the new requests. Raises ``NotHeld`` if they break a rule."""
        requests = self._gateway.seen.requests
        while requests:
            request = requests.popleft()
            if request.name == "placeOrder":
                self._take(next((text for text in request.fields if text.startswith("ref:")), ""))

    def _take(self, ref: str) -> None:
        self.refs.append(ref)
        reign = ref.rpartition(":")[0]
        if self.reigns and self.reigns[-1] == reign:
            return
        if reign in self.reigns:
            raise NotHeld(f"an order of {reign} came after its successor's first: {self.reigns[-5:]}")
        self.reigns.append(reign)

    @property
    def twice(self) -> list[str]:
        """The orders that arrived more than once."""
        return [ref for ref, times in Counter(self.refs).items() if times > 1]

    @property
    def leader(self) -> int:
        """The process that sent the last order."""
        return int(self.reigns[-1].split(":")[1]) if self.reigns else 0


class Chaos:
    """One gateway, one cluster, and two programs with one name."""

    def __init__(self, folder: Path, seed: int, *, cuts: bool) -> None:
        self._folder, self._dice, self._cuts = folder, random.Random(seed), cuts
        self.played: Counter[str] = Counter()
        self.replaced: list[float] = []
        self.orders = 0

    async def run(self, moments: int) -> None:
        """Run this many moments. Raises ``NotHeld`` if a rule is broken."""
        with ExitStack() as ends:
            network = Network() if self._cuts else None
            if network is not None:
                ends.callback(network.remove)
            places = [Place(network, number) for number in range(1, 3 + NODES)]
            for place in places:
                ends.callback(place.remove)
            cluster = Cluster(self._folder, places[2:])
            async with Gateway(id_hold=0, host=GATEWAY if self._cuts else "127.0.0.1") as gateway:
                ends.callback(cluster.stop)
                cluster.start()
                programs = []
                for number, place in enumerate(places[:2], 1):
                    command = [sys.executable, "-m", "soak.fleet_program", cluster.urls, gateway.host]
                    command += [str(gateway.port), str(LEASE)]
                    program = Program(place, command, self._folder / f"program{number}.log")
                    programs.append(program)
                    ends.callback(program.kill)
                record = Record(gateway)
                await self._traded(gateway, record, since=len(record.refs))
                for number in range(moments):
                    if number and not number % 10:
                        print(f"{number} moments, {len(record.reigns)} leaders", flush=True)
                    await self._moment(number + 1, gateway, record, cluster, programs)
                if record.twice:
                    raise NotHeld(f"orders that came twice: {record.twice[:5]}")
                self.orders = len(record.refs)

    async def _moment(
        self, number: int, gateway: Gateway, record: Record, cluster: Cluster, programs: list[Program]
    ) -> None:
        leader, standby = await self._both(gateway, record, cluster, programs)
        victim = self._dice.choice(["leader", "leader", "standby", "node"])
        how = self._dice.choice(["kill", "freeze", "cut"] if self._cuts else ["kill", "freeze"])
        self.played[f"{how} {victim}"] += 1
        await asyncio.sleep(self._dice.uniform(0.2, 1.5))
        try:
            if victim == "node":
                await self._hurt_node(cluster, how)
            else:
                await self._hurt(leader if victim == "leader" else standby, how, gateway, record)
            record.read()
            await self._traded(gateway, record, since=len(record.refs))
        except NotHeld as error:
            raise NotHeld(f"moment {number} ({how} {victim}): {error}") from error

    async def _both(
        self, gateway: Gateway, record: Record, cluster: Cluster, programs: list[Program]
    ) -> tuple[Program, Program]:
        """Return the leader and the standby, as soon as both have a session and the fleet knows both.

        The gateway may still have old sessions: if a client was cut off and then ended, the gateway did not notice.
        """
        found: dict[int, str] = {}
        try:
            return await self._both_known(gateway, record, cluster, programs, found)
        except TimeoutError as error:
            known = f"the fleet knows {found}, the gateway {sorted(gateway.client_ids)}, {record.leader} traded last"
            raise NotHeld(f"leader and standby were not there within {SETTLED_WITHIN:g} s: {known}") from error

    async def _both_known(
        self,
        gateway: Gateway,
        record: Record,
        cluster: Cluster,
        programs: list[Program],
        found: dict[int, str],
    ) -> tuple[Program, Program]:
        async with asyncio.timeout(SETTLED_WITHIN), cluster.client() as client:
            while True:
                record.read()
                with suppress(nats.errors.Error):
                    bucket = await client.jetstream().key_value("ibkr_leases")
                    found.clear()
                    found |= {int(value["pid"]): key for key, value in (await everything(bucket)).items()}
                    leads = [each for each in programs if found.get(each.pid, "").endswith(".0")]
                    waits = [each for each in programs if each.pid in found and each not in leads]
                    if leads and waits and leads[0].pid == record.leader and len(gateway.client_ids) >= 2:
                        return leads[0], waits[0]
                await asyncio.sleep(0.1)

    async def _hurt(self, program: Program, how: str, gateway: Gateway, record: Record) -> None:
        seconds = self._dice.uniform(0.5, 2.5 * LEASE)
        if how == "kill":
            record.read()
            was_leader, reigns, began = program.pid == record.leader, len(record.reigns), time.monotonic()
            program.kill()
            if was_leader:
                await self._until(gateway, record, lambda: len(record.reigns) > reigns, REPLACED_WITHIN + 1.0)
                self.replaced.append(time.monotonic() - began)
                if self.replaced[-1] > REPLACED_WITHIN:
                    raise NotHeld(f"a killed leader was replaced after {self.replaced[-1]:.1f} s")
            program.start()
            return
        if how == "freeze":
            program.process.send_signal(signal.SIGSTOP)
        else:
            program.place.cut()
        try:
            await asyncio.sleep(seconds)
        finally:
            if how == "freeze":
                program.process.send_signal(signal.SIGCONT)
            else:
                program.place.mend()

    async def _hurt_node(self, cluster: Cluster, how: str) -> None:
        number = await cluster.leading()
        node, place = cluster.nodes[number], cluster.places[number]
        if how == "kill":
            node.kill()
            await asyncio.sleep(self._dice.uniform(0.0, 1.0))
            await asyncio.to_thread(cluster.start_node, number)
            return
        pid, seconds = node.pid, self._dice.uniform(0.5, 2.5 * LEASE)
        if how == "freeze":
            os.kill(pid, signal.SIGSTOP)
        else:
            place.cut()
        try:
            await asyncio.sleep(seconds)
        finally:
            if how == "freeze":
                os.kill(pid, signal.SIGCONT)
            else:
                place.mend()

    async def _traded(self, gateway: Gateway, record: Record, since: int) -> None:
        """Wait until somebody trades."""
        await self._until(gateway, record, lambda: len(record.refs) > since + 2, SETTLED_WITHIN)

    async def _until(self, gateway: Gateway, record: Record, holds: object, within: float) -> None:
        def look(_: Gateway) -> bool:
            record.read()
            return bool(holds())  # type: ignore[operator]

        try:
            await gateway.wait_for(look, within)
        except TimeoutError as error:
            raise NotHeld(f"nobody trades, or nobody else, for {within:g} s") from error


async def chaos(moments: int, seed: int) -> Chaos:
    """Run this soak in a temporary folder. If a rule is broken, raise ``NotHeld`` and keep the folder with the logs."""
    folder = Path(tempfile.mkdtemp(prefix="ibkr-fleet-"))
    run = Chaos(folder, seed, cuts=not missing())
    try:
        await run.run(moments)
    except NotHeld as error:
        raise NotHeld(f"{error}; seed {seed}; logs in {folder}") from error
    shutil.rmtree(folder)
    return run


def main() -> None:
    """Run the command."""
    moments = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    print(f"{moments} moments, seed {seed}", flush=True)
    try:
        done = asyncio.run(chaos(moments, seed))
    except NotHeld as error:
        sys.exit(f"does not hold: {error}")
    played = ", ".join(f"{what} {times}" for what, times in sorted(done.played.items()))
    print(f"{played}; {done.orders} orders")
    slowest = max(done.replaced, default=0.0)
    print(f"killed leaders were replaced within {slowest:.1f} s at most (allowed: {REPLACED_WITHIN:g} s)")


if __name__ == "__main__":
    main()
