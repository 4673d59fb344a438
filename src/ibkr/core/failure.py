"""One failed attempt: its kind, and what was seen. The errors of ``errors.py`` are made of it."""

from __future__ import annotations

from enum import StrEnum

from ibkr.core.value import Value


class FailureKind(StrEnum):
    """Why an attempt came to nothing."""

    UNREACHABLE = "unreachable"
    SILENT = "silent"
    CLOSED = "closed"
    NOT_A_GATEWAY = "not_a_gateway"
    CLIENT_ID_IN_USE = "client_id_in_use"
    UNSUPPORTED_VERSION = "unsupported_version"


class Failure(Value):
    """One failed attempt: its kind, and what was seen, in words.

    ``before_any_byte`` is for ``CLOSED``: the peer had sent nothing (a port forwarder with nothing behind it, or a
    gateway that is still starting). ``looks_like`` is for ``NOT_A_GATEWAY``: http, ssh, tls or unknown.
    ``unanswered``: nothing came back from the address, not even a refusal, so the peer's system may not know of it.
    """

    kind: FailureKind
    detail: str
    before_any_byte: bool = False
    looks_like: str = ""
    unanswered: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"
