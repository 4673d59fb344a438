"""The gateway as tests use it: what a `ThreadedGateway` does, and assertions about what it saw."""

import difflib
from collections.abc import Callable

from ibkr.simulator.gateway import Gateway
from ibkr.simulator.requests.registry import REQUESTS
from ibkr.simulator.seen import SeenRequest
from ibkr.simulator.threaded import ThreadedGateway

_TIMEOUT = 2.0


class FixtureGateway(ThreadedGateway):
    """What the fixture `ib_gateway` gives. Assertions wait until they hold, at most `timeout` seconds.

    They block their thread meanwhile: in a coroutine, `await ib_gateway.wait_for_async(...)` first for what your own
    event loop has yet to send.
    """

    def received(self, request: str, *values: object) -> list[SeenRequest]:
        """The requests of this name up to now whose fields hold all these values, oldest first.

        Names are those of ibapi's `EClient`: placeOrder. Raises `ValueError` for one that there is not.
        """
        return self.call(lambda gateway: _matching(gateway, request, values))

    def assert_received(
        self, request: str, *values: object, times: int | None = None, timeout: float = _TIMEOUT
    ) -> list[SeenRequest]:
        """The request has come, with fields that hold these values; exactly so many `times`, if that is given.

        Gives what has come. Raises `AssertionError` with what did, `ValueError` for a name that there is not.
        """
        least = 1 if times is None else times
        self._wait(lambda gateway: len(_matching(gateway, request, values)) >= least, timeout)
        found = self.received(request, *values)
        wanted = f"{request} {' '.join(map(str, values))}".rstrip()
        if times is None:
            assert found, f"{wanted} was not received within {timeout:g} s; {self._told(request)}"
        else:
            assert len(found) == times, f"{wanted} was received {len(found)} times, not {times}; {self._told(request)}"
        return found

    def assert_not_received(self, request: str, *values: object) -> None:
        """No such request has come up to now. Raises as `assert_received` does."""
        found = self.received(request, *values)
        assert not found, f"{request} was received: {_text(found)}"

    def assert_subscribed(self, symbol: str, *, client_id: int | None = None, timeout: float = _TIMEOUT) -> None:
        """A client, or this one, is subscribed to market data of this symbol. Raises `AssertionError`."""
        self._wait(lambda gateway: symbol in _subscribed(gateway, client_id), timeout)
        symbols = self.call(lambda gateway: _subscribed(gateway, client_id))
        assert symbol in symbols, f"nobody is subscribed to {symbol}; to: {', '.join(symbols) or 'nothing'}"

    def assert_not_subscribed(self, symbol: str, *, client_id: int | None = None, timeout: float = _TIMEOUT) -> None:
        """No client, or not this one, is subscribed to market data of this symbol. Raises `AssertionError`."""
        self._wait(lambda gateway: symbol not in _subscribed(gateway, client_id), timeout)
        assert symbol not in self.call(lambda gateway: _subscribed(gateway, client_id)), f"{symbol} is subscribed to"

    def _wait(self, predicate: Callable[[Gateway], bool], timeout: float) -> None:
        try:
            self.wait_for(predicate, timeout)
        except TimeoutError:
            return  # the caller looks at what there is, and says what is missing

    def _told(self, request: str) -> str:
        same = self.received(request)
        return f"received: {_text(same)}" if same else f"seen: {self.seen}"


def _matching(gateway: Gateway, request: str, values: tuple[object, ...]) -> list[SeenRequest]:
    if request not in REQUESTS:
        near = difflib.get_close_matches(request, REQUESTS, n=3) or ["placeOrder", "reqMktData"]
        raise ValueError(f"no request {request!r}; perhaps: {', '.join(near)}")
    return [
        item
        for item in gateway.seen.received(request)
        if all(any(_holds(field, value) for field in item.fields[1:]) for value in values)
    ]


def _holds(field: str, value: object) -> bool:
    if isinstance(value, bool):
        return field == ("1" if value else "0")
    if isinstance(value, int | float):
        try:
            return float(field) == value
        except ValueError:
            return False
    return field == str(value)


def _subscribed(gateway: Gateway, client_id: int | None) -> list[str]:
    return [
        symbol
        for client in gateway.seen.streams
        if client_id in (None, client)
        for symbol in gateway.seen.live_subscriptions(client).values()
    ]


def _text(requests: list[SeenRequest]) -> str:
    return "; ".join(" ".join(filter(None, item.fields[1:])) or "without fields" for item in requests)
