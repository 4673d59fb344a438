"""What a new connection meets: an API session, or one of the things that are not one."""

from collections.abc import Callable
from dataclasses import dataclass

from ibkr.simulator.connection import web_server
from ibkr.simulator.connection.handshake import send_welcome
from ibkr.simulator.session import Session

ABSURD_LENGTH = b"\x7f\xff\xff\xff"
_JUNK = b"junk" * 16384
_JUNK_TOTAL = 128 * 1024 * 1024
_JUNK_EVERY = 0.002
_OLD_VERSION = 100


def _nothing(client: Session) -> None:
    pass


def _session(client: Session, data: bytes) -> None:
    client.session_received(data)


@dataclass(frozen=True, slots=True)
class Greeting:
    """Reactions to: the connection accepted, bytes received, startApi completed."""

    accepted: Callable[[Session], None] = _nothing
    received: Callable[[Session, bytes], None] = _session
    started: Callable[[Session], None] = send_welcome


def _discard(client: Session, data: bytes) -> None:
    pass


def _http(client: Session, data: bytes) -> None:
    client.send_raw(web_server.page("400 Bad Request"))
    client.close()


def _ssh_banner(client: Session) -> None:
    client.send_raw(b"SSH-2.0-OpenSSH_9.6\r\n")


def _ssh(client: Session, data: bytes) -> None:
    client.send_raw(b"Invalid SSH identification string.\r\n")
    client.close()


def _garbage(client: Session, data: bytes) -> None:
    client.ignore()
    client.send_raw(ABSURD_LENGTH)
    _stream_junk(client, _JUNK_TOTAL)


def _stream_junk(client: Session, left: int) -> None:
    # At the peer's pace, so that only the peer can be made to buffer it.
    if client.transport.is_closing() or left <= 0:
        return
    if not client.transport.get_write_buffer_size() and not client.outbox.waiting:
        client.send_raw(_JUNK)
        left -= len(_JUNK)
    client.timers.later(_JUNK_EVERY, _stream_junk, client, left)


def _old_version(client: Session, data: bytes) -> None:
    client.session_received(data, announce=_OLD_VERSION)


GREETINGS: dict[str, Greeting] = {
    "session": Greeting(),
    "silent": Greeting(received=_discard),
    "http": Greeting(received=_http),
    "web_server": Greeting(accepted=web_server.accepted, received=web_server.received),
    "ssh": Greeting(accepted=_ssh_banner, received=_ssh),
    "garbage": Greeting(received=_garbage),
    "close_on_accept": Greeting(accepted=lambda client: client.close()),
    "close_after_handshake": Greeting(started=lambda client: client.close()),
    "old_version": Greeting(received=_old_version, started=_nothing),
}
