"""The checks in their order. Each stands in a file of its own; what one needs stands before it."""

from __future__ import annotations

from ibkr.doctor.check import Check
from ibkr.doctor.checks import (
    accounts,
    client_id,
    clock,
    configuration,
    exposure,
    farms,
    gateway_process,
    handshake,
    latency,
    libraries,
    maintenance,
    market_data,
    name,
    peer,
    port,
    read_only,
    session,
    start_up,
    upstream,
    usual_ports,
)

CHECKS: tuple[Check, ...] = (
    configuration.CHECK,
    libraries.CHECK,
    gateway_process.CHECK,
    name.CHECK,
    port.CHECK,
    usual_ports.CHECK,
    peer.CHECK,
    handshake.CHECK,
    session.CHECK,
    client_id.CHECK,
    accounts.CHECK,
    upstream.CHECK,
    farms.CHECK,
    start_up.CHECK,
    read_only.CHECK,
    clock.CHECK,
    market_data.CHECK,
    latency.CHECK,
    exposure.CHECK,
    maintenance.CHECK,
)
