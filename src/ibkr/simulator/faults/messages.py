"""Faults of the stream of bytes, and of single messages in it."""

import math
from typing import Annotated, TypeAlias

from ibkr.simulator.faults.conditions import ANY, Kind, Twist
from ibkr.simulator.faults.control import FaultControl
from ibkr.simulator.faults.registry import MOST, Seconds, Times, fault, number_from, one_of
from ibkr.wire.names import MESSAGE_NAMES

Message: TypeAlias = Annotated[str, one_of(MESSAGE_NAMES | {ANY}, "message")]


@fault()
def slow(faults: FaultControl, bytes_per_second: Annotated[int, number_from(0, "bytes", MOST)]) -> None:
    """Send this many bytes a second on each connection. 0 ends it."""
    faults.hub.conditions.change_flow(rate=bytes_per_second or math.inf)


@fault()
def split_frames(faults: FaultControl) -> None:
    """Send every byte separately, so that no message arrives in one piece."""
    faults.hub.conditions.change_flow(is_split=True)


@fault()
def merge_frames(faults: FaultControl, seconds: Annotated[float, number_from(0.001, "seconds")] = 0.1) -> None:
    """Collect what is sent within this many seconds, and send it in one piece."""
    faults.hub.conditions.change_flow(every=seconds)


@fault()
def delay_message(faults: FaultControl, message: Message, seconds: Seconds, times: Times = math.inf) -> None:
    """Send messages of this name (orderStatus, any) this many seconds late, after later messages."""
    _twist(faults, message, Kind.DELAY, times, seconds)


@fault()
def drop_message(faults: FaultControl, message: Message, times: Times = math.inf) -> None:
    """Do not send messages of this name (execDetails, any), this many times."""
    _twist(faults, message, Kind.DROP, times)


@fault()
def duplicate_message(faults: FaultControl, message: Message, times: Times = math.inf) -> None:
    """Send messages of this name (execDetails, any) twice, this many times."""
    _twist(faults, message, Kind.DUPLICATE, times)


@fault()
def truncate_message(faults: FaultControl, message: Message = ANY, times: Times = 1) -> None:
    """Send half of the next message (of this name), then close the connection."""
    _twist(faults, message, Kind.TRUNCATE, times)


@fault()
def extra_separators(
    faults: FaultControl,
    message: Message = ANY,
    count: Annotated[int, number_from(1, "separators", 1000)] = 1,
    times: Times = math.inf,
) -> None:
    """Add this many separators at the end of messages of this name, as some gateways do."""
    faults.hub.conditions.twists[message] = Twist(Kind.PAD, times, count=count)


def _twist(faults: FaultControl, message: str, kind: Kind, times: float, seconds: float = 0.0) -> None:
    faults.hub.conditions.twists[message] = Twist(kind, times, seconds)
