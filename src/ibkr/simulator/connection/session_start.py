"""The start of a session: the client's hello, the gateway's version, startApi, and the first messages."""

import logging

from ibkr.simulator.activity_log import SeenSession
from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.requests.field_reader import FieldReader, MalformedField
from ibkr.simulator.scheduling import HELLO, VERSION
from ibkr.wire import BadHello, ClientHello, messages, parse_hello, version_frame

log = logging.getLogger("ibkr.simulator")

_ID_IN_USE = "Unable to connect as the client id is already in use. Retry with a unique client id."


class Handshake:
    """The hello of one connection, and the answer to it."""

    def __init__(self, client: ClientSession) -> None:
        self._client = client
        self._received = b""

    def feed(self, data: bytes, announce: int | None) -> bytes | None:
        """Read the hello and answer it.

        Args:
            data: The received bytes.
            announce: A server version to announce instead of the negotiated one.

        Returns:
            The bytes after the hello, or `None` while it is incomplete or after the connection was closed.
        """
        client = self._client
        self._received += data
        try:
            parsed = parse_hello(self._received)
        except BadHello as error:
            # Log only the text, because a log record with the exception would keep the stack frames in memory.
            log.warning("not an API client, closed: %s", str(error))
            client.close()
            return None
        if parsed is None:
            return None
        hello, used = parsed
        rest, self._received = self._received[used:], b""
        client.state.hooks.run(HELLO)
        if client.is_ignored or not self._negotiate(hello, announce):
            return None
        client.state.hooks.run(VERSION)
        return rest

    def _negotiate(self, hello: ClientHello, announce: int | None) -> bool:
        client, state = self._client, self._client.state
        version = min(hello.max_version, state.settings.server_version)
        if version < hello.min_version:
            log.warning("no common version: client %s, gateway %s", hello, state.settings.server_version)
            client.close()
            return False
        client.server_version = version
        zone = state.time_zone
        announced = version if announce is None else announce
        client.send_raw(version_frame(announced, zone.text(state.time()), zone.encoding))
        return True


def start_session(client: ClientSession, fields: FieldReader) -> None:
    """Answer startApi. Raises `MalformedField` if the request cannot be read."""
    state = client.state
    fields.int("Version")
    client_id = fields.int("Client Id")
    if client_id < 0:
        raise MalformedField("Client Id", str(client_id))
    if len(state.sessions) >= state.settings.max_clients:
        log.warning("client %s closed: %s are connected", client_id, len(state.sessions))
        client.close()
    elif not state.is_id_free(client_id):
        log.info("client id %s is in use: refused with 326", client_id)
        state.seen.refused_client_ids += 1
        client.send_error(-1, 326, _ID_IN_USE)
        client.close()
    else:
        client.client_id = client_id
        log.info("client %s: session started, version %s", client_id, client.server_version)
        state.add_session(client)
        state.seen.sessions.append(SeenSession(client_id, state.loop.time(), client.server_version))
        client.started()


def send_first_messages(client: ClientSession) -> None:
    """Send what follows startApi in one write. Message 15 comes before 9: IB's Testbed program needs this."""
    state = client.state
    client.send(
        client.encode(messages.MANAGED_ACCOUNTS, accounts=",".join(state.settings.accounts)),
        client.encode(messages.NEXT_VALID_ID, order_id=state.order_handler.next_order_id(client.client_id)),
        *[client.error(-1, code, text) for code, text in state.conditions.farm_notices()],
        *state.order_handler.session_start_messages(client),
    )
