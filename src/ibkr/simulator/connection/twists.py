"""What faults do to single messages on their way out, by name: drop, send twice, send late, cut short, pad."""

from collections.abc import Sequence

from ibkr.simulator.faults.conditions import ANY, Kind, Twist
from ibkr.simulator.session import Session
from ibkr.wire import frame
from ibkr.wire.frame import BINARY_IDS, split_id
from ibkr.wire.names import message_name

_UNKNOWN_FIELD = b"\xf8\x7f\x00"
"""A field of protobuf, number 2047, that no client knows: what a newer gateway adds to a message."""


def send_twisted(client: Session, bodies: Sequence[bytes]) -> None:
    """Send messages, each as its twist has it; those without one, in as few writes as they would be otherwise."""
    plain = bytearray()
    for body in bodies:
        data = frame(body)
        twist = _take(client, message_name(body))
        match twist.kind if twist else None:
            case None:
                plain += data
            case Kind.DUPLICATE:
                plain += data * 2
            case Kind.PAD:
                assert twist is not None
                plain += frame(body + (_UNKNOWN_FIELD if _is_protobuf(body) else b"\0") * twist.count)
            case Kind.DELAY:
                assert twist is not None
                client.timers.later(twist.seconds, client.send_raw, data)
            case Kind.TRUNCATE:
                client.send_raw(bytes(plain) + data[: 4 + len(body) // 2])
                client.close()
                return
    if plain:
        client.send_raw(bytes(plain))


def _take(client: Session, name: str) -> Twist | None:
    twists = client.hub.conditions.twists
    key = name if name in twists else ANY
    twist = twists.get(key)
    if twist is None:
        return None
    twist.times -= 1
    if twist.times < 1:
        del twists[key]
    return twist


def _is_protobuf(body: bytes) -> bool:
    return body[:1] == b"\0" and split_id(body, BINARY_IDS)[1]
