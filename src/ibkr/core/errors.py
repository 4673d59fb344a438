"""Exceptions: the errors of a connector and its settings.

::

    IbkrError
    ├── ConfigError(ValueError)                      names the key, the value, what to do
    ├── ConnectError(ConnectionError)                .kind  .endpoint  .attempts  .advice
    │   ├── GatewayUnreachable                       "unreachable"
    │   ├── GatewaySilent(..., TimeoutError)         "silent"
    │   ├── GatewayClosed                            "closed"
    │   ├── NotAGateway                              "not_a_gateway"       .looks_like
    │   ├── ClientIdInUse                            "client_id_in_use"
    │   └── UnsupportedVersion                       "unsupported_version"
    ├── FleetError(ConnectionError)                  the fleet's servers could not be reached
    ├── JournalError                                 names the file
    │   └── JournalInUse                             .holder
    └── NotReady(ConnectionError)                    .status
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibkr.core.attempt_failure import Failure as Failure
from ibkr.core.attempt_failure import FailureKind as FailureKind
from ibkr.core.serialization import to_printable

if TYPE_CHECKING:
    from ibkr.core.status import Status


class IbkrError(Exception):
    """The base class of the errors below. The text of each error is on one line, without control characters.

    The errors that ``ibkr.simulator`` and ``ibkr.proxy`` define are ``ValueError``, without this base class.
    """

    def __str__(self) -> str:
        return to_printable(super().__str__())


NO_WORKING_FOLDER = "the working folder does not exist any more: change to one that exists, or give the full path"
"""Why a relative path cannot be used, and what to do."""


class ConfigError(IbkrError, ValueError):
    """A setting cannot be used. The message names the key, the value and what to do."""

    def __init__(self, key: str, value: object, cure: str) -> None:
        super().__init__(f"{key} = {value!r}: {cure}")
        self.key = key
        self.value = value
        self.cure = cure


class ConnectError(IbkrError, ConnectionError):
    """``connect()`` failed: ``kind`` says why, ``advice`` what to do, in one line.

    ``endpoint`` and ``client_id`` are those of the last attempt, and ``attempts`` is the number of attempts.
    """

    kind: FailureKind
    advice: str = ""

    def __init__(self, failure: Failure, endpoint: str, client_id: int, attempts: int) -> None:
        self.kind = failure.kind
        self.endpoint = endpoint
        self.client_id = client_id
        self.attempts = attempts
        self.looks_like: str = failure.looks_like
        self.advice = advice(failure.kind, endpoint, client_id, unknown_host=failure.unknown_host)
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"{endpoint}: {failure.detail} ({self.kind}, after {tries}). {self.advice}")


class GatewayUnreachable(ConnectError):
    """Nothing listens at the port, or the address cannot be reached."""

    advice = (
        "Start TWS or IB Gateway and log in, switch on 'Enable ActiveX and Socket Clients' in its API settings, and"
        " check the port there (TWS 7496 live, 7497 paper; IB Gateway 4001 live, 4002 paper)."
    )


class GatewaySilent(ConnectError, TimeoutError):
    """The port accepted the connection and then sent nothing in time."""

    advice = (
        "Look at the TWS or IB Gateway window: an unfinished login, or a dialog that asks to accept this connection,"
        " delays the answer. Add this address to its trusted IPs. Or another program listens at {endpoint} and"
        " waits for its client to send first."
    )


class GatewayClosed(ConnectError):
    """The peer closed the connection without a code, before or after its first bytes."""

    advice = (
        "The gateway may still be starting, a port forwarder may have nothing behind it, this address may not be"
        " among the gateway's trusted IPs, or client id {client_id} may still be held: wait, or look at its API log."
    )


class NotAGateway(ConnectError):
    """Something else answers at this port. ``looks_like``: http, ssh, tls or unknown."""

    advice = "Another program listens at {endpoint}: set the port that the gateway shows in its API settings."


class ClientIdInUse(ConnectError):
    """Another API session uses this client id (IB code 326)."""

    advice = (
        "Another program is connected with client id {client_id}: close it, or give this one its own id"
        " (IBKR_CLIENT_ID, or client_id=...). After a restart it is often your own old session. The gateway"
        " releases the id within seconds, or within 15 minutes if the machine or network was lost:"
        " connect(wait=True) waits for that."
    )


class UnsupportedVersion(ConnectError):
    """The client library does not support the gateway's protocol version."""

    advice = "Update TWS or IB Gateway (972 or later is needed), or the client library."


class FleetError(IbkrError, ConnectionError):
    """The fleet's servers could not be reached. The message names them and what to do."""


class JournalError(IbkrError):
    """The journal cannot be used. The message names the file and what to do."""


class JournalInUse(JournalError):
    """The journal is in use by ``holder``: another process, or another connector in this process."""

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(
            f"the journal {path} is in use by {holder}: a journal belongs to one program with one client id."
            " End that program, or give this one a journal and a client id of its own"
        )
        self.path = path
        self.holder = holder


class NotReady(IbkrError, ConnectionError):
    """The call needs more than the connection has now. ``status`` says what is missing and why."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status


_CLASSES: dict[FailureKind, type[ConnectError]] = {
    FailureKind.UNREACHABLE: GatewayUnreachable,
    FailureKind.SILENT: GatewaySilent,
    FailureKind.CLOSED: GatewayClosed,
    FailureKind.NOT_A_GATEWAY: NotAGateway,
    FailureKind.CLIENT_ID_IN_USE: ClientIdInUse,
    FailureKind.UNSUPPORTED_VERSION: UnsupportedVersion,
}


_UNKNOWN_HOST = (
    "Look for a typing error in ibkr.host (--host, IBKR_HOST). If the name is right, look at this machine's network,"
    " VPN and DNS, or give the address itself; 127.0.0.1 is this machine."
)


def connect_error(failure: Failure, endpoint: str, client_id: int, attempts: int) -> ConnectError:
    """The exception for this failure."""
    return _CLASSES[failure.kind](failure, endpoint, client_id, attempts)


def advice(kind: FailureKind, endpoint: str, client_id: int, *, unknown_host: bool = False) -> str:
    """One line that says what to do about this kind of failure; ``unknown_host`` as in ``Failure``."""
    if unknown_host:
        return _UNKNOWN_HOST
    return _CLASSES[kind].advice.format(endpoint=endpoint, client_id=client_id)
