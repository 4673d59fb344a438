"""Identifies a peer by its first bytes: a gateway, or something else at the port."""

from __future__ import annotations

from ibkr.core.attempt_failure import Failure, FailureKind
from ibkr.wire.handshake import Opening, classify_opening

_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""An alert or a handshake message of any TLS version."""
_SHOWN = 16


def non_gateway_failure(began: bytes) -> Failure | None:
    """The failure for a peer that begins with these bytes. ``None``: it may be a gateway, or has sent too little."""
    opening = classify_opening(began)
    if began.startswith(_TLS_RECORDS):
        what, looks_like = "a server that wants TLS", "tls"
    elif opening is Opening.HTTP:
        what, looks_like = "a web server (HTTP)", "http"
    elif opening is Opening.SSH:
        what, looks_like = "an SSH server", "ssh"
    elif opening is Opening.UNKNOWN:
        what, looks_like = "something that does not speak the API", "unknown"
    else:
        return None
    detail = f"{what} answers, not TWS or IB Gateway; it began with {began[:_SHOWN]!r}"
    return Failure(FailureKind.NOT_A_GATEWAY, detail, looks_like=looks_like)
