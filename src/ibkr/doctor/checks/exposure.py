"""Exposure: does the gateway answer on an address that is not loopback? The protocol has no password.

TWS listens on every address and closes at once on whom it does not trust: that is no exposure.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import suppress

from ibkr.doctor.api import is_gateway
from ibkr.doctor.check import Check, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "exposure"
_SECONDS = 0.5
_ADVICE = (
    "The API has no password: whoever reaches the port may trade. Tick 'Allow connections from localhost only' in its"
    " API settings, shut the port in the firewall, or put it behind an SSH tunnel or VPN."
)
# Of the blocks that are kept for documentation: nothing is sent, the system only chooses the address to send from.
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


async def _look(patient: Patient) -> list[Finding]:
    port = patient.ibkr.port
    if not ipaddress.ip_address(patient.address.partition("%")[0]).is_loopback:
        return warn(_NAME, "exposed", f"the gateway is reached over the network, at {patient.address}:{port}", _ADVICE)
    own = own_addresses()
    answers = await asyncio.gather(*(is_gateway(address, port, patient.versions, _SECONDS) for address in own))
    exposed = [address for address, is_one in zip(own, answers, strict=True) if is_one]
    if exposed:
        return warn(_NAME, "exposed", f"the gateway answers on {', '.join(exposed)}, too, port {port}", _ADVICE)
    return ok(_NAME, "the gateway answers on loopback alone" if own else "this machine has loopback addresses alone")


def own_addresses() -> list[str]:
    """This machine's addresses that others may reach: those that it would send from."""
    found = []
    for family, elsewhere in _ELSEWHERE.items():
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((elsewhere, 9))
            found.append(str(asking.getsockname()[0]))
    return [each for each in dict.fromkeys(found) if not _is_local(each)]


def _is_local(address: str) -> bool:
    each = ipaddress.ip_address(address.partition("%")[0])
    return each.is_loopback or each.is_link_local


CHECK = Check(_NAME, "Exposure", _look, needs=("peer",))
