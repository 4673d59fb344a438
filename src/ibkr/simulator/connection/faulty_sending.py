"""Apply message faults to sent messages: drop, duplicate, delay, truncate, or pad them."""

from collections.abc import Sequence
from typing import Protocol

from ibkr.simulator.faults.conditions import ANY, MessageFault, MessageFaultKind
from ibkr.simulator.scheduling import Timers
from ibkr.wire import frame
from ibkr.wire.frame import BINARY_IDS, split_id
from ibkr.wire.message_names import message_name

_UNKNOWN_FIELD = b"\xf8\x7f\x00"
"""The protobuf field 2047, which no client knows, as a newer gateway could add it."""


class Sender(Protocol):
    """A connection that sends messages."""

    timers: Timers

    def send_raw(self, data: bytes) -> None:
        """Send bytes unchanged."""

    def close(self) -> None:
        """Close the connection when all data is sent."""


def send_with_faults(client: Sender, message_faults: dict[str, MessageFault], bodies: Sequence[bytes]) -> None:
    """Send messages, and apply the fault of each. Messages without a fault share one write."""
    plain = bytearray()
    for body in bodies:
        data = frame(body)
        message_fault = _take(message_faults, message_name(body))
        match message_fault.kind if message_fault else None:
            case None:
                plain += data
            case MessageFaultKind.DUPLICATE:
                plain += data * 2
            case MessageFaultKind.PAD:
                assert message_fault is not None
                plain += frame(body + (_UNKNOWN_FIELD if _is_protobuf(body) else b"\0") * message_fault.count)
            case MessageFaultKind.DELAY:
                assert message_fault is not None
                client.timers.later(message_fault.seconds, client.send_raw, data)
            case MessageFaultKind.TRUNCATE:
                client.send_raw(bytes(plain) + data[: 4 + len(body) // 2])
                client.close()
                return
    if plain:
        client.send_raw(bytes(plain))


def _take(message_faults: dict[str, MessageFault], name: str) -> MessageFault | None:
    key = name if name in message_faults else ANY
    message_fault = message_faults.get(key)
    if message_fault is None:
        return None
    message_fault.times -= 1
    if message_fault.times < 1:
        del message_faults[key]
    return message_fault


def _is_protobuf(body: bytes) -> bool:
    return body[:1] == b"\0" and split_id(body, BINARY_IDS)[1]
