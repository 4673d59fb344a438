"""Every error that a caller can meet.

::

    IbkrError
    ├── ConfigError(ValueError)                      names the key, the value, the cure
    ├── ConnectError(ConnectionError)                .kind  .endpoint  .attempts  .advice
    │   ├── GatewayUnreachable                       "unreachable"
    │   ├── GatewaySilent(..., TimeoutError)         "silent"
    │   ├── GatewayClosed                            "closed"
    │   ├── NotAGateway                              "not_a_gateway"       .looks_like
    │   ├── ClientIdInUse                            "client_id_in_use"
    │   └── UnsupportedVersion                       "unsupported_version"
    └── NotReady(ConnectionError)                    .status
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibkr.core.failure import Failure as Failure
from ibkr.core.failure import FailureKind as FailureKind

if TYPE_CHECKING:
    from ibkr.core.status import Status


class IbkrError(Exception):
    """The root of all errors of this package."""


class ConfigError(IbkrError, ValueError):
    """A setting cannot be used; the message names the key, the value and the cure."""

    def __init__(self, key: str, value: object, cure: str) -> None:
        super().__init__(f"{key} = {value!r}: {cure}")
        self.key = key
        self.value = value
        self.cure = cure


class ConnectError(IbkrError, ConnectionError):
    """No session could be had. ``advice`` is one line that says what to do."""

    kind: FailureKind
    advice: str = ""

    def __init__(self, failure: Failure, endpoint: str, client_id: int, attempts: int) -> None:
        self.kind = failure.kind
        self.endpoint = endpoint
        self.client_id = client_id
        self.attempts = attempts
        self.looks_like: str = failure.looks_like
        self.advice = self.advice.format(endpoint=endpoint, client_id=client_id)
        tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"{endpoint}: {failure.detail} ({self.kind}, after {tries}). {self.advice}")


class GatewayUnreachable(ConnectError):
    """Nothing listens there, or the address cannot be reached."""

    advice = (
        "Start TWS or IB Gateway and log in, switch on 'Enable ActiveX and Socket Clients' in its API settings, and"
        " check the port there (TWS 7496 live, 7497 paper; IB Gateway 4001 live, 4002 paper)."
    )


class GatewaySilent(ConnectError, TimeoutError):
    """The port accepted, then said nothing in time."""

    advice = (
        "Look at the TWS or IB Gateway window: a login that is not finished or a dialog asking to accept this"
        " connection holds back the answer; add this address to its trusted IPs. Or another program listens at"
        " {endpoint} that waits for its client to speak first."
    )


class GatewayClosed(ConnectError):
    """The peer closed the connection without a code, before or after its first bytes."""

    advice = (
        "The gateway may still be starting, a port forwarder may have nothing behind it, this address may not be"
        " among the gateway's trusted IPs, or client id {client_id} may still be taken: wait, or look at its API log."
    )


class NotAGateway(ConnectError):
    """Something else answers at this port. ``looks_like``: http, ssh, tls or unknown."""

    advice = "Another program listens at {endpoint}: set the port that the gateway shows in its API settings."


class ClientIdInUse(ConnectError):
    """Another API session holds this client id (IB code 326)."""

    advice = (
        "Another program is connected with client id {client_id}: close it, or give this one an id of its own"
        " (IBKR_CLIENT_ID, or client_id=...). After a restart it is often one's own old session, which the gateway lets"
        " go of within a minute: connect(wait=True) waits for that."
    )


class UnsupportedVersion(ConnectError):
    """The gateway's protocol version is not one that the client library speaks."""

    advice = "Update TWS or IB Gateway (972 or later is needed), or the client library."


class NotReady(IbkrError, ConnectionError):
    """What was asked for needs more than there is now; ``status`` says what there is and why."""

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


def connect_error(failure: Failure, endpoint: str, client_id: int, attempts: int) -> ConnectError:
    """The error of the tree that tells this failure."""
    return _CLASSES[failure.kind](failure, endpoint, client_id, attempts)


def advice(kind: FailureKind, endpoint: str, client_id: int) -> str:
    """One line that says what to do about a failure of this kind."""
    return _CLASSES[kind].advice.format(endpoint=endpoint, client_id=client_id)
