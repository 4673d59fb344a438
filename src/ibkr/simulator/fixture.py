"""The simulated gateway for tests: a `ThreadedGateway`, with assertions about what it has seen."""

import difflib
from collections.abc import Callable

from ibkr.simulator.gateway import Gateway
from ibkr.simulator.requests.table import REQUESTS
from ibkr.simulator.seen import SeenRequest
from ibkr.simulator.threaded import ThreadedGateway

_TIMEOUT = 2.0


class FixtureGateway(ThreadedGateway):
    """The fixture `ib_gateway`. Its assertions wait until they are true, for `timeout` seconds at most.

    They block the thread that calls them. In a coroutine, first `await ib_gateway.wait_for_async(...)` for what your
    own event loop has not sent yet.
    """

    def received(self, request: str, *values: object) -> list[SeenRequest]:
        """The requests that have come until now, oldest first.

        Args:
            request: The name of the request, as in ibapi's `EClient`: "placeOrder".
            values: Only requests whose fields contain all of these: "AAPL", 100, `True`.

        Raises:
            ValueError: There is no request of this name.
        """
        return self.call(lambda gateway: _matching(gateway, request, values))

    def assert_received(
        self, request: str, *values: object, times: int | None = None, timeout: float = _TIMEOUT
    ) -> list[SeenRequest]:
        """Assert that a request has come, or comes within `timeout` seconds.

        Args:
            request: The name of the request, as in ibapi's `EClient`: "placeOrder".
            values: Values that its fields contain: "AAPL", 100, `True`.
            times: Exactly so many of them; without it, one or more.
            timeout: How many seconds to wait at most.

        Returns:
            The requests, oldest first.

        Raises:
            AssertionError: It has not come. The text says what has.
            ValueError: There is no request of this name.
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
        """Assert that no such request has come until now; the arguments are those of `assert_received`."""
        found = self.received(request, *values)
        assert not found, f"{request} was received: {_text(found)}"

    def assert_subscribed(self, symbol: str, *, client_id: int | None = None, timeout: float = _TIMEOUT) -> None:
        """Assert that somebody is subscribed to market data of a symbol.

        Args:
            symbol: The symbol: "AAPL".
            client_id: Only this client counts.
            timeout: How many seconds to wait at most.

        Raises:
            AssertionError: Nobody is. The text says which symbols have subscribers.
        """
        self._wait(lambda gateway: symbol in _subscribed(gateway, client_id), timeout)
        symbols = self.call(lambda gateway: _subscribed(gateway, client_id))
        assert symbol in symbols, f"nobody is subscribed to {symbol}; to: {', '.join(symbols) or 'nothing'}"

    def assert_not_subscribed(self, symbol: str, *, client_id: int | None = None, timeout: float = _TIMEOUT) -> None:
        """Assert the opposite; the arguments are those of `assert_subscribed`."""
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
