"""The usual ports of TWS and IB Gateway: at which of them does a gateway answer?"""

from __future__ import annotations

import asyncio

from ibkr.doctor.api import is_gateway
from ibkr.doctor.check import Check, ok, warn
from ibkr.doctor.finding import Finding
from ibkr.doctor.patient import Patient

_NAME = "usual ports"
_SECONDS = 1.0
USUAL = {
    7496: "TWS, live",
    7497: "TWS, paper",
    4001: "IB Gateway, live",
    4002: "IB Gateway, paper",
    4003: "IB Gateway in a container, live",
    4004: "IB Gateway in a container, paper",
}
"""As IB sets them; those of containers as gnzsnz/ib-gateway-docker does."""


async def _look(patient: Patient) -> list[Finding]:
    # The configured port is looked at by itself; each opening may raise a dialog in TWS.
    others = [port for port in USUAL if port != patient.ibkr.port]
    answers = await asyncio.gather(*(is_gateway(patient.address, port, patient.versions, _SECONDS) for port in others))
    found = patient.other_ports = [port for port, is_one in zip(others, answers, strict=True) if is_one]
    listed = ", ".join(f"{port} ({USUAL[port]})" for port in found)
    if "port" in patient.failed and found:
        advice = f"Set ibkr.port to {found[0]} (IBKR_PORT={found[0]}), if that is the gateway that you mean."
        return warn(_NAME, "other_port", f"a gateway answers at {listed}", advice)
    return ok(_NAME, f"a gateway answers at {listed}, too" if found else "no gateway at any other of them")


CHECK = Check(_NAME, "Usual ports", _look, needs=("name",))
