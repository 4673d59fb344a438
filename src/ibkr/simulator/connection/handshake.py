"""How a session begins: the client's hello, the gateway's version, startApi, and the first messages."""

import logging

from ibkr.simulator.connection.moments import HELLO, VERSION
from ibkr.simulator.requests.reader import FieldReader, Malformed
from ibkr.simulator.seen import SeenSession
from ibkr.simulator.session import Session
from ibkr.wire import BadHello, ClientHello, messages, parse_hello, version_frame

log = logging.getLogger("ibkr.simulator")

_ID_IN_USE = "Unable to connect as the client id is already in use. Retry with a unique client id."


class Handshake:
    """The hello of one connection and the answer to it."""

    def __init__(self, client: Session) -> None:
        self._client = client
        self._received = b""

    def feed(self, data: bytes, announce: int | None) -> bytes | None:
        """Read the hello and answer it.

        Args:
            data: The bytes that have come.
            announce: A version to announce in place of the negotiated one.

        Returns:
            The bytes after the hello, or `None` while it is incomplete or when the connection has been closed.
        """
        client = self._client
        self._received += data
        try:
            parsed = parse_hello(self._received)
        except BadHello as error:
            log.warning("not an API client, closed: %s", str(error))  # kept as text: an error keeps its frames
            client.close()
            return None
        if parsed is None:
            return None
        hello, used = parsed
        rest, self._received = self._received[used:], b""
        client.hub.moments.reached(HELLO)
        if client.is_ignored or not self._negotiate(hello, announce):
            return None
        client.hub.moments.reached(VERSION)
        return rest

    def _negotiate(self, hello: ClientHello, announce: int | None) -> bool:
        client, hub = self._client, self._client.hub
        version = min(hello.max_version, hub.settings.server_version)
        if version < hello.min_version:
            log.warning("no common version: client %s, gateway %s", hello, hub.settings.server_version)
            client.close()
            return False
        client.server_version = version
        zone = hub.time_zone
        told = version if announce is None else announce
        client.send_raw(version_frame(told, zone.text(hub.time()), zone.encoding))
        return True


def start_session(client: Session, fields: FieldReader) -> None:
    """Answer startApi. Raises `Malformed` if it cannot be read."""
    hub = client.hub
    fields.int("Version")
    client_id = fields.int("Client Id")
    if client_id < 0:
        raise Malformed("Client Id", str(client_id))
    if len(hub.sessions) >= hub.settings.max_clients:
        log.warning("client %s closed: %s are connected", client_id, len(hub.sessions))
        client.close()
    elif not hub.is_id_free(client_id):
        log.info("client id %s is in use: refused with 326", client_id)
        hub.seen.refused_client_ids += 1
        client.send_error(-1, 326, _ID_IN_USE)
        client.close()
    else:
        client.client_id = client_id
        log.info("client %s: a session at version %s", client_id, client.server_version)
        hub.add_session(client)
        hub.seen.sessions.append(SeenSession(client_id, hub.loop.time(), client.server_version))
        client.started()


def send_welcome(client: Session) -> None:
    """Send what follows startApi, in one write: 15 before 9, as the official Testbed needs it."""
    hub = client.hub
    client.send(
        client.encode(messages.MANAGED_ACCOUNTS, accounts=",".join(hub.settings.accounts)),
        client.encode(messages.NEXT_VALID_ID, order_id=hub.desk.next_order_id(client.client_id)),
        *[client.error(-1, code, text) for code, text in hub.conditions.farm_notices()],
        *hub.desk.welcome(client),
    )
