"""Sends the gateway's bytes to one client: immediately, or as the active faults require."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from ibkr.proxy.message_catalog import ANSWERS_BY_REQUEST, identify_message
from ibkr.proxy.message_ids import read_id
from ibkr.proxy.proxied_connection import ProxiedConnection
from ibkr.proxy.socket_side import BUFFER
from ibkr.simulator.connection.faulty_sending import send_with_faults
from ibkr.simulator.connection.send_queue import IMMEDIATE, SendProfile, SendQueue
from ibkr.simulator.faults.conditions import MessageFault
from ibkr.simulator.scheduling import Timers
from ibkr.wire import frame, messages

_FROZEN = "frozen by a fault"
_FULL = "too many bytes wait for the client"


@dataclass
class ActiveFaults:
    """The faults that are active for all connections. In a new object, no fault is active.

    `message_faults` maps message names to what happens to them. `muted` has the names of requests that get no answer.
    """

    flow: SendProfile = IMMEDIATE
    message_faults: dict[str, MessageFault] = field(default_factory=dict)
    muted: set[str] = field(default_factory=set)
    is_frozen: bool = False

    @property
    def has_any(self) -> bool:
        """Whether a fault is active."""
        return bool(self.is_frozen or self.message_faults or self.muted or self.flow is not IMMEDIATE)

    def clear(self) -> None:
        """End all faults."""
        self.flow, self.is_frozen = IMMEDIATE, False
        self.message_faults.clear()
        self.muted.clear()


class Delivery:
    """Sends the gateway's bytes of one connection to its client, as the active faults require."""

    def __init__(self, connection: ProxiedConnection, active: ActiveFaults) -> None:
        self.connection = connection
        self.timers = Timers()
        self._active = active
        self._send_queue = SendQueue(asyncio.get_running_loop(), self)  # type: ignore[arg-type]
        self._unsent = b""
        self._sent = 0
        self._injected: list[bytes] = []
        self._muted_ids: set[int] = set()
        self._is_cut = False

    # --- transport interface, for the send queue ------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.connection.client.write(data)
        if self._send_queue.waiting < BUFFER:
            self.connection.gateway.set_paused(_FULL, False)

    def close(self) -> None:
        """Send the end of the stream. Called when everything else has been sent."""
        self.connection.send_eof_to_client()

    def is_closing(self) -> bool:
        return not self.connection.client.can_write

    # --- input ------------------------------------------------------------------------------------

    def forward(self, data: bytes, bodies: list[bytes]) -> None:
        """Take bytes of the gateway, and the bodies of the frames that these bytes complete.

        While faults act on messages, only complete messages are sent. A frame that is already partly sent is not
        changed.
        """
        if self._is_cut:
            return
        data, self._unsent = self._unsent + data, b""
        used = sum(map(len, bodies)) + 4 * len(bodies) - self._sent if bodies else 0
        if self.connection.parser.failure or not self._acts_on_messages:
            self._sent = len(data) - used if bodies else self._sent + len(data)
            self.send_raw(data)
            return
        if not bodies and self._sent:
            self._sent += len(data)
            self.send_raw(data)
            return
        if bodies and self._sent:
            self.send_raw(frame(bodies[0])[self._sent :])
            bodies = bodies[1:]
        self._sent, self._unsent = 0, data[used:]
        self._send_messages(bodies)

    def handle_requests(self, bodies: Iterable[bytes]) -> None:
        """Take requests on their way to the gateway, and remember the ids of requests that get no answer."""
        muted, version = self._active.muted, self.connection.parser.server_version
        for body in bodies if muted else ():
            info = identify_message(body, version, is_request=True)
            if info.name in muted:
                for name in ("req_id", "order_id"):
                    if (number := read_id(info, version, name)) is not None:
                        self._muted_ids.add(number)

    def gateway_eof(self) -> None:
        """Take the end of the gateway's stream."""
        self.send_raw(self._unsent)
        self._unsent = b""
        self._send_queue.close_when_sent()

    # --- output -----------------------------------------------------------------------------------

    def send_raw(self, data: bytes) -> None:
        """Send bytes. The active faults can limit the rate, delay the bytes, or split them."""
        if not data:
            return
        self._send_queue.put(data, self._active.flow)
        if self._send_queue.waiting > BUFFER:
            self.connection.gateway.set_paused(_FULL, True)

    def inject(self, body: bytes) -> None:
        """Send a message that the gateway has not sent, as soon as no other message is partly sent."""
        self._injected.append(frame(body))
        if not self._sent:
            self._send_injected()

    def cut(self, *, is_reset: bool) -> None:
        """End the client's connection now. What the client has sent still reaches the gateway."""
        self._is_cut = True
        self.connection.client.read_pending()
        self.connection.client.abort(is_reset=is_reset)
        self.connection.gateway.close()

    def freeze(self) -> None:
        self._send_queue.freeze()
        self.connection.client.set_paused(_FROZEN, True)

    def thaw(self) -> None:
        self._send_queue.thaw()
        self.connection.client.set_paused(_FROZEN, False)

    def end_faults(self) -> None:
        """Send all waiting bytes now, because no fault is active."""
        self._send_queue.flush_now()
        self.thaw()
        if self._unsent:
            self._sent = len(self._unsent)
            self.send_raw(self._unsent)
            self._unsent = b""
        self._muted_ids.clear()

    def discard(self) -> None:
        self.timers.stop()
        self._send_queue.drop()

    def close_client(self) -> None:
        """Send the client the end of the stream when everything is sent. The client then ends the other direction."""
        self._is_cut = True
        self._send_queue.close_when_sent()

    @property
    def _acts_on_messages(self) -> bool:
        return bool(self._active.message_faults or self._active.muted or self._injected)

    def _send_injected(self) -> None:
        injected, self._injected = self._injected, []
        for data in injected:
            self.send_raw(data)

    def _send_messages(self, bodies: list[bytes]) -> None:
        if self._active.muted:
            bodies = [body for body in bodies if not self._is_muted(body)]
        if self._active.message_faults:
            send_with_faults(_FaultTarget(self), self._active.message_faults, bodies)
        elif bodies:
            self.send_raw(b"".join(map(frame, bodies)))
        self._send_injected()

    def _is_muted(self, body: bytes) -> bool:
        version = self.connection.parser.server_version
        if not version:
            return False
        info = identify_message(body, version, is_request=False)
        if info.name == messages.ERROR.name:
            return read_id(info, version, "req_id") in self._muted_ids
        return any(info.name in ANSWERS_BY_REQUEST[request] for request in self._active.muted)


class _FaultTarget:
    """The delivery in the form that `send_with_faults` needs: `close` closes the client's connection."""

    def __init__(self, delivery: Delivery) -> None:
        self.timers = delivery.timers
        self.send_raw = delivery.send_raw
        self.close = delivery.close_client
