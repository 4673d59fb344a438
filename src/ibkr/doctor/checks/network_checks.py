"""Checks of the network: host name, port, the usual ports, and exposure beyond loopback."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from contextlib import suppress

from ibkr.core.errors import FailureKind
from ibkr.doctor.api_client import is_gateway, open_connection
from ibkr.doctor.check import Check, Finding, fail, ok, warn
from ibkr.doctor.context import Context
from ibkr.session.tcp_connect import resolve_in_thread

_RESOLVE_TIMEOUT = 3.0
_CONNECT_TIMEOUT = 2.0
_OTHER_PORT_TIMEOUT = 1.0
_EXPOSURE_TIMEOUT = 0.5
_UNREACHABLE = str(FailureKind.UNREACHABLE)
STANDARD_PORTS = {
    7496: "TWS, live",
    7497: "TWS, paper",
    4001: "IB Gateway, live",
    4002: "IB Gateway, paper",
    4003: "IB Gateway in a container, live",
    4004: "IB Gateway in a container, paper",
}
"""IB's default ports, and the default ports of the container image gnzsnz/ib-gateway-docker."""
_EXPOSURE_ADVICE = (
    "The API has no password: everybody who reaches the port can trade. Select 'Allow connections from localhost only'"
    " in the gateway's API settings, close the port in the firewall, or use an SSH tunnel or a VPN."
)
# Addresses reserved for documentation. Nothing is sent: the system only chooses the address to send from.
_REMOTE_ADDRESSES = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


async def _check_name(context: Context) -> list[Finding]:
    """Does the host's name have an address?"""
    host = context.ibkr.host
    try:
        async with asyncio.timeout(_RESOLVE_TIMEOUT):
            addresses = await _resolve(host)
    except (OSError, UnicodeError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        why = f"no answer in {_RESOLVE_TIMEOUT:g} s" if isinstance(error, TimeoutError) else text
        advice = context.advice_for(FailureKind.UNREACHABLE, unknown_host=True)
        return fail(_UNREACHABLE, f"the name {host!r} has no address: {why}", advice)
    context.addresses = addresses
    return ok(host if addresses == [host] else f"{host} is {', '.join(addresses)}")


async def _resolve(host: str) -> list[str]:
    """Return the addresses of the host. Raises ``OSError`` or ``UnicodeError``."""
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]  # an IP address needs no resolver
    found = await resolve_in_thread(host, 0)
    return [str(address.sockaddr[0]) for address in found]


async def _check_port(context: Context) -> list[Finding]:
    """Is the port open, refused, or blocked?"""
    began = time.monotonic()
    error: OSError | None = None
    for address in context.addresses:
        try:
            async with open_connection(address, context.ibkr.port, _CONNECT_TIMEOUT):
                seconds = time.monotonic() - began
        except OSError as failed:
            error = error or failed
            continue
        context.addresses = [address, *(each for each in context.addresses if each != address)]
        return ok(f"{context.endpoint} is open ({1000 * seconds:.1f} ms)")
    assert error is not None, "a resolved name has an address"
    return _port_failure(context, error)


def _port_failure(context: Context, error: OSError) -> list[Finding]:
    if isinstance(error, ConnectionRefusedError):
        message = f"{context.endpoint} refuses the connection: nothing listens on this port"
        advice = context.advice_for(FailureKind.UNREACHABLE)
    elif isinstance(error, TimeoutError):
        message = f"{context.endpoint} does not answer within {_CONNECT_TIMEOUT:g} s: a firewall drops the packets"
        advice = "Open the port in the firewalls between this machine and the gateway. Check host and port."
    else:
        message = f"{context.endpoint} cannot be reached: {error.strerror or error}"
        advice = "This machine cannot reach the gateway's machine. Check ibkr.host and the network."
    return fail(_UNREACHABLE, message, advice)


async def _check_usual_ports(context: Context) -> list[Finding]:
    """On which of the usual ports of TWS and IB Gateway does a gateway answer?"""
    # Skip the configured port: the peer check tests it, and each handshake may open a dialog in TWS.
    others = [port for port in STANDARD_PORTS if port != context.ibkr.port]
    answers = await asyncio.gather(
        *(is_gateway(context.address, port, context.versions, _OTHER_PORT_TIMEOUT) for port in others)
    )
    found = context.other_ports = [port for port, is_one in zip(others, answers, strict=True) if is_one]
    listed = ", ".join(f"{port} ({STANDARD_PORTS[port]})" for port in found)
    if "port" in context.failed and found:
        advice = f"If that is the gateway that you mean, set ibkr.port to {found[0]} (IBKR_PORT={found[0]})."
        return warn("other_port", f"a gateway answers on port {listed}", advice)
    return ok(f"a gateway also answers on port {listed}" if found else "no gateway on the other usual ports")


async def _check_exposure(context: Context) -> list[Finding]:
    """Does the gateway answer on an address that is not loopback?

    TWS listens on every address, and immediately closes connections from addresses that are not trusted. This is not
    an exposure.
    """
    port = context.ibkr.port
    if not ipaddress.ip_address(context.address.partition("%")[0]).is_loopback:
        message = f"you reach the gateway over the network, at {context.address}:{port}"
        return warn("exposed", message, _EXPOSURE_ADVICE)
    own = own_addresses()
    answers = await asyncio.gather(*(is_gateway(address, port, context.versions, _EXPOSURE_TIMEOUT) for address in own))
    exposed = [address for address, is_one in zip(own, answers, strict=True) if is_one]
    if exposed:
        message = f"the gateway also answers on {', '.join(exposed)}, port {port}"
        return warn("exposed", message, _EXPOSURE_ADVICE)
    return ok("the gateway answers on loopback only" if own else "this machine has loopback addresses only")


def own_addresses() -> list[str]:
    """Return the addresses of this computer that others may reach: the addresses that it sends from."""
    found = []
    for family, remote in _REMOTE_ADDRESSES.items():
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((remote, 9))
            found.append(str(probe.getsockname()[0]))
    return [each for each in dict.fromkeys(found) if not _is_local(each)]


def _is_local(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return parsed.is_loopback or parsed.is_link_local


NAME = Check("name", "Name of the host", _check_name, needs=("configuration",))
PORT = Check("port", "Port", _check_port, needs=("name",))
USUAL_PORTS = Check("usual ports", "Usual ports", _check_usual_ports, needs=("name",))
EXPOSURE = Check("exposure", "Exposure", _check_exposure, needs=("peer",))
