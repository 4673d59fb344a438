"""Faults of sent bytes, of single messages, and of the message rate."""

import math
from typing import Annotated, TypeAlias

from ibkr.simulator.faults.conditions import ANY, MessageFault, MessageFaultKind, OnRate, RateLimit
from ibkr.simulator.faults.fault_context import FaultContext
from ibkr.simulator.faults.fault_registry import MAX_INT, Seconds, Times, fault, number_from, one_of
from ibkr.wire.message_names import MESSAGE_NAMES

Message: TypeAlias = Annotated[str, one_of(MESSAGE_NAMES | {ANY}, "message")]


@fault()
def slow(faults: FaultContext, bytes_per_second: Annotated[int, number_from(0, "bytes", MAX_INT)]) -> None:
    """Send this many bytes a second on each connection. 0 ends it."""
    faults.state.conditions.change_send_profile(rate=bytes_per_second or math.inf)


@fault()
def split_frames(faults: FaultContext) -> None:
    """Send every byte separately, so that no message arrives in one piece."""
    faults.state.conditions.change_send_profile(is_split=True)


@fault()
def merge_frames(faults: FaultContext, seconds: Annotated[float, number_from(0.001, "seconds")] = 0.1) -> None:
    """Collect what is sent within this many seconds, and send it in one piece."""
    faults.state.conditions.change_send_profile(every=seconds)


@fault()
def delay_message(faults: FaultContext, message: Message, seconds: Seconds, times: Times = math.inf) -> None:
    """Send messages of this name (orderStatus, any) this many seconds late, after later messages."""
    _add(faults, message, MessageFaultKind.DELAY, times, seconds)


@fault()
def drop_message(faults: FaultContext, message: Message, times: Times = math.inf) -> None:
    """Do not send messages of this name (execDetails, any), this many times."""
    _add(faults, message, MessageFaultKind.DROP, times)


@fault()
def duplicate_message(faults: FaultContext, message: Message, times: Times = math.inf) -> None:
    """Send messages of this name (execDetails, any) twice, this many times."""
    _add(faults, message, MessageFaultKind.DUPLICATE, times)


@fault()
def truncate_message(faults: FaultContext, message: Message = ANY, times: Times = 1) -> None:
    """Send half of the next message (of this name), then close the connection."""
    _add(faults, message, MessageFaultKind.TRUNCATE, times)


@fault()
def extra_separators(
    faults: FaultContext,
    message: Message = ANY,
    count: Annotated[int, number_from(1, "separators", 1000)] = 1,
    times: Times = math.inf,
) -> None:
    """Add this many separators at the end of messages of this name, as some gateways do."""
    faults.state.conditions.message_faults[message] = MessageFault(MessageFaultKind.PAD, times, count=count)


def _add(faults: FaultContext, message: str, kind: MessageFaultKind, times: float, seconds: float = 0.0) -> None:
    faults.state.conditions.message_faults[message] = MessageFault(kind, times, seconds)


@fault()
def limit_rate(
    faults: FaultContext,
    rate: Annotated[int, number_from(1, "messages a second", MAX_INT)] = 50,
    on_rate: Annotated[str, one_of([str(way) for way in OnRate], "way")] = "reject",
) -> None:
    """Accept this many messages a second. More of them wait (pace), or get 100 and then a disconnect (reject)."""
    faults.state.conditions.rate_limit = RateLimit(rate, on_rate)


@fault()
def warn_of_pace(faults: FaultContext) -> None:
    """Send every session the warning 100 once: its messages come too fast."""
    faults.state.notify_all(100, "Max rate of messages per second has been exceeded")
