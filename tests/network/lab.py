"""A network of three hosts on this machine (client, router, gateway), and the failures of a network.

Each host is a network namespace, so nothing is visible outside. It needs root, iproute2 and iptables.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

CLIENT, GATEWAY, MOVED = "10.1.1.2", "10.1.2.2", "10.1.2.3"
CLIENT_LATER = "10.1.1.7"
"""The client's address after its VPN is connected again."""
_CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)


def missing() -> str:
    """Return what this machine lacks for this network, as text. The text is empty if nothing is missing."""
    programs = [program for program in ("ip", "iptables") if shutil.which(program) is None]
    if programs:
        return f"{' and '.join(programs)} not found (Debian: apt install iproute2 iptables)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        Host(f"ibkr-{os.getpid()}-try").remove()
    except RuntimeError as error:
        return f"network namespaces cannot be made: {error}"
    return ""


def run(*command: object) -> str:
    """Run a command. If the command fails, raise ``RuntimeError`` with its output."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


class Host:
    """One network namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        run("ip", "netns", "add", name)
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command: object) -> str:
        """Run a command on this host."""
        return run("ip", "netns", "exec", self.name, *command)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """New sockets of this thread, and the threads that it starts, are on this host."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter(Path("/run/netns", self.name))
            yield
        finally:
            _set(here)
            os.close(here)

    def remove(self) -> None:
        """Remove the host. Its network namespace ends when the last socket in it is closed."""
        run("ip", "netns", "del", self.name)


class Lab:
    """Client and gateway in separate networks, with a router between them."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.client, self.router, self.gateway = (
            Host(f"ibkr-{os.getpid()}-{number}-{name}") for name in ("client", "router", "gateway")
        )
        for number, (host, address) in enumerate(((self.client, CLIENT), (self.gateway, GATEWAY)), 1):
            cable = ("type", "veth", "peer", f"to{number}", "netns", self.router.name)
            run("ip", "link", "add", "eth0", "netns", host.name, *cable)
            host.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
            host.run("ip", "link", "set", "eth0", "up")
            self.router.run("ip", "addr", "add", f"10.1.{number}.1/24", "dev", f"to{number}")
            self.router.run("ip", "link", "set", f"to{number}", "up")
            host.run("ip", "route", "add", "default", "via", f"10.1.{number}.1")
        self.gateway.run("ip", "addr", "add", f"{MOVED}/24", "dev", "eth0")
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def remove(self) -> None:
        """Remove the network."""
        for host in (self.client, self.router, self.gateway):
            host.remove()

    def drop(self, *match: object) -> None:
        """From now on, the router drops the matching packets, or all packets. No host is informed."""
        self.router.run("iptables", "-w", "-I", "FORWARD", *match, "-j", "DROP")

    def mend(self) -> None:
        """The router drops nothing."""
        self.router.run("iptables", "-w", "-F", "FORWARD")

    def translate(self, ports: str) -> None:
        """The router is a NAT from now on: connections of the client come from these ports of the router."""
        self.router.run("iptables", "-w", "-t", "nat", "-F", "POSTROUTING")
        masquerade = ("-p", "tcp", "-j", "MASQUERADE", "--to-ports", ports)
        self.router.run("iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-o", "to2", *masquerade)
        # The router drops each packet that belongs to no entry of its NAT table.
        self.router.run("iptables", "-w", "-F", "INPUT")
        self.router.run("iptables", "-w", "-A", "INPUT", "-i", "to2", "-j", "DROP")

    def forget_translations(self) -> None:
        """The NAT loses its entries, as Linux masquerading does when an interface goes down."""
        self.router.run("ip", "link", "set", "to2", "down")
        self.router.run("ip", "link", "set", "to2", "up")

    def take_address(self, address: str) -> None:
        """The client's network with this address is removed."""
        self.client.run("ip", "addr", "del", f"{address}/24", "dev", "eth0")

    def give_address(self, address: str) -> None:
        """The client's network comes up, with this address."""
        self.client.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        self.client.run("ip", "route", "replace", "default", "via", "10.1.1.1")

    def sessions(self) -> int:
        """The number of TCP connections that are established for the gateway's kernel."""
        return len(self.gateway.run("ss", "-Htn", "state", "established").splitlines())


def _enter(path: Path) -> None:
    namespace = os.open(path, os.O_RDONLY)
    try:
        _set(namespace)
    finally:
        os.close(namespace)


def _set(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns comes with Python 3.12
    if libc.setns(namespace, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
