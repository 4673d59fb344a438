"""A web server in the gateway's place, which says nothing until it has a complete request."""

import re

from ibkr.simulator.session import Session

_MAX_REQUEST = 8192
_REQUEST = re.compile(rb"[A-Z]+ \S+ HTTP/1\.[01]\r?\n")


def page(status: str) -> bytes:
    """An HTTP answer with this status, such as `400 Bad Request`."""
    body = f"<html><body>{status}</body></html>"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"{head}\r\n\r\n{body}".encode()


def accepted(client: Session) -> None:
    """Begin to wait for a request."""
    client.timers.later(client.hub.conditions.web_server.seconds, _end, client)


def received(client: Session, data: bytes) -> None:
    """Answer a request as soon as it is complete: it ends with an empty line."""
    client.opening += data
    if b"\r\n\r\n" not in client.opening and b"\n\n" not in client.opening and len(client.opening) <= _MAX_REQUEST:
        return
    if _REQUEST.match(client.opening):
        client.send_raw(page("404 Not Found"))
        client.close()
    else:
        _end(client)


def _end(client: Session) -> None:
    if client.hub.conditions.web_server.end == "400":
        client.send_raw(page("400 Bad Request"))
    client.close()
