"""How the gateway behaves on a new connection: an API session, or a fault such as a web server, SSH, garbage, silence.

`Conditions.behavior` is a key of `BEHAVIORS`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ibkr.simulator.connection.session_start import send_first_messages
from ibkr.simulator.gateway_state import ClientSession

ABSURD_LENGTH = b"\x7f\xff\xff\xff"
_JUNK = b"junk" * 16384
_JUNK_TOTAL = 128 * 1024 * 1024
_JUNK_EVERY = 0.002
_OLD_VERSION = 100
_MAX_HTTP_REQUEST = 8192
_HTTP_REQUEST = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r?\n")


def _nothing(client: ClientSession) -> None:
    pass


def _session(client: ClientSession, data: bytes) -> None:
    client.session_received(data)


@dataclass(frozen=True, slots=True)
class ConnectionBehavior:
    """The reactions to an accepted connection, to received bytes, and to a completed startApi."""

    accepted: Callable[[ClientSession], None] = _nothing
    received: Callable[[ClientSession, bytes], None] = _session
    started: Callable[[ClientSession], None] = send_first_messages


def _discard(client: ClientSession, data: bytes) -> None:
    pass


def _http(client: ClientSession, data: bytes) -> None:
    client.send_raw(_page("400 Bad Request"))
    client.close()


def _ssh_banner(client: ClientSession) -> None:
    client.send_raw(b"SSH-2.0-OpenSSH_9.6\r\n")


def _ssh(client: ClientSession, data: bytes) -> None:
    client.send_raw(b"Invalid SSH identification string.\r\n")
    client.close()


def _garbage(client: ClientSession, data: bytes) -> None:
    client.ignore()
    client.send_raw(ABSURD_LENGTH)
    _stream_junk(client, _JUNK_TOTAL)


def _stream_junk(client: ClientSession, left: int) -> None:
    # Send only as fast as the client reads, so that the data does not fill our own buffers.
    if client.transport.is_closing() or left <= 0:
        return
    if not client.transport.get_write_buffer_size() and not client.send_queue.waiting:
        client.send_raw(_JUNK)
        left -= len(_JUNK)
    client.timers.later(_JUNK_EVERY, _stream_junk, client, left)


def _old_version(client: ClientSession, data: bytes) -> None:
    client.session_received(data, announce=_OLD_VERSION)


def _page(status: str) -> bytes:
    """Return an HTTP response with this status, such as `400 Bad Request`."""
    body = f"<html><body>{status}</body></html>"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"{head}\r\n\r\n{body}".encode()


def _web_accepted(client: ClientSession) -> None:
    """Start to wait for a request."""
    client.timers.later(client.state.conditions.web_server.seconds, _end_web_request, client)


def _web_received(client: ClientSession, data: bytes) -> None:
    """Answer a request when it is complete: it ends with an empty line."""
    client.first_bytes += data
    if (
        b"\r\n\r\n" not in client.first_bytes
        and b"\n\n" not in client.first_bytes
        and len(client.first_bytes) <= _MAX_HTTP_REQUEST
    ):
        return
    if _HTTP_REQUEST.match(client.first_bytes):
        client.send_raw(_page("404 Not Found"))
        client.close()
    else:
        _end_web_request(client)


def _end_web_request(client: ClientSession) -> None:
    if client.state.conditions.web_server.end == "400":
        client.send_raw(_page("400 Bad Request"))
    client.close()


BEHAVIORS: dict[str, ConnectionBehavior] = {
    "session": ConnectionBehavior(),
    "silent": ConnectionBehavior(received=_discard),
    "http": ConnectionBehavior(received=_http),
    "web_server": ConnectionBehavior(accepted=_web_accepted, received=_web_received),
    "ssh": ConnectionBehavior(accepted=_ssh_banner, received=_ssh),
    "garbage": ConnectionBehavior(received=_garbage),
    "close_on_accept": ConnectionBehavior(accepted=lambda client: client.close()),
    "close_after_handshake": ConnectionBehavior(started=lambda client: client.close()),
    "old_version": ConnectionBehavior(received=_old_version, started=_nothing),
}
