"""``Failure``: why one attempt failed. ``errors.py`` makes exceptions of it."""

from __future__ import annotations

from enum import StrEnum

from ibkr.core.frozen_record import FrozenRecord


class FailureKind(StrEnum):
    """Why an attempt failed."""

    UNREACHABLE = "unreachable"
    SILENT = "silent"
    CLOSED = "closed"
    NOT_A_GATEWAY = "not_a_gateway"
    CLIENT_ID_IN_USE = "client_id_in_use"
    UNSUPPORTED_VERSION = "unsupported_version"


class Failure(FrozenRecord):
    """One failed attempt: its kind, and ``detail`` in words.

    With ``CLOSED``, ``before_any_byte`` means that the peer closed the connection before it sent anything. A port
    forwarder without a target does this, and so does a gateway that is still starting. With ``NOT_A_GATEWAY``,
    ``looks_like`` is http, ssh, tls or unknown. ``unanswered``: the address sent no answer, not even a refusal. So the
    peer may not know that the attempt or the session failed. ``unknown_host``: the host name has no address.
    """

    kind: FailureKind
    detail: str
    before_any_byte: bool = False
    looks_like: str = ""
    unanswered: bool = False
    unknown_host: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"
