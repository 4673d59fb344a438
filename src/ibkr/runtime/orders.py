"""What the machine orders of a session, and how each order is carried out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ibkr.core import effects as do
from ibkr.core.facts import Fact, Key
from ibkr.core.state import Feed


class Session(Protocol):
    """What the driver orders of a session. Each of these may post facts while it runs."""

    post: Callable[[Fact], None]

    @property
    def last_byte(self) -> float: ...
    @property
    def has_ended(self) -> bool: ...
    def open(self, attempt: int, port: int) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def start_up(self) -> None: ...
    def ask_again(self, names: tuple[str, ...], *, shared: bool) -> None: ...
    def announce(self) -> None: ...
    def restore(self, *, same_session: bool) -> None: ...
    def watch(self, feed: Feed | None, since: float, farm: str) -> None: ...
    def ask_streams(self, req_ids: tuple[Key, ...], unless_since: float | None) -> None: ...
    def slow_down(self) -> None: ...
    def probe(self) -> None: ...
    def release(self) -> None: ...
    def abandon(self) -> None: ...


ORDERS: dict[type[Any], Callable[[Session, Any], None]] = {
    do.Open: lambda session, order: session.open(order.attempt, order.port),
    do.Close: lambda session, order: session.close(),
    do.Abort: lambda session, order: session.abort(),
    do.StartUp: lambda session, order: session.start_up(),
    do.AskAgain: lambda session, order: session.ask_again(order.names, shared=order.shared),
    do.Announce: lambda session, order: session.announce(),
    do.Restore: lambda session, order: session.restore(same_session=order.same_session),
    do.Watch: lambda session, order: session.watch(order.feed, order.since, order.farm),
    do.AskStreams: lambda session, order: session.ask_streams(order.req_ids, order.unless_since),
    do.SlowDown: lambda session, order: session.slow_down(),
    do.Probe: lambda session, order: session.probe(),
    do.Release: lambda session, order: session.release(),
}
"""Every ``SessionOrder`` and the call that carries it out."""
