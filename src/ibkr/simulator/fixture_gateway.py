"""`FixtureGateway`: the pytest fixture `ib_gateway`, a `ThreadedGateway` with assertions."""

import difflib
from collections.abc import Callable

from ibkr.simulator.activity_log import SeenRequest
from ibkr.simulator.requests.request_names import REQUESTS
from ibkr.simulator.simulated_gateway import Gateway
from ibkr.simulator.threaded_gateway import ThreadedGateway

_TIMEOUT = 2.0


class FixtureGateway(ThreadedGateway):
    """The fixture `ib_gateway`. Its assertions with a `timeout` wait that many seconds to become true.

    They block the calling thread. In a coroutine, first `await ib_gateway.wait_for_async(...)`, so that your event loop
    can send what it still holds.
    """

    def received(self, request: str, *values: object) -> list[SeenRequest]:
        """Return the requests received so far, oldest first.

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
        """Assert that a request has arrived, or arrives within `timeout` seconds.

        Args:
            request: The name of the request, as in ibapi's `EClient`: "placeOrder".
            values: Values that its fields contain: "AAPL", 100, `True`.
            times: The exact number of requests. By default, one or more.
            timeout: The longest time to wait, in seconds.

        Returns:
            The requests, oldest first.

        Raises:
            AssertionError: The request has not arrived, or not exactly `times` times. The text says what has arrived.
            ValueError: There is no request of this name.
        """
        least = 1 if times is None else times
        self._wait(lambda gateway: len(_matching(gateway, request, values)) >= least, timeout)
        found = self.received(request, *values)
        wanted = f"{request} {' '.join(map(str, values))}".rstrip()
        if times is None:
            assert found, f"{wanted} was not received within {timeout:g} s; {self._describe_received(request)}"
        else:
            assert len(found) == times, (
                f"{wanted} was received {len(found)} times, not {times}; {self._describe_received(request)}"
            )
        return found

    def assert_not_received(self, request: str, *values: object) -> None:
        """Assert that no such request has arrived so far, without waiting.

        Args:
            request: The name of the request.
            values: Values that the request must contain, as for `assert_received`.
        """
        found = self.received(request, *values)
        assert not found, f"{request} was received: {_text(found)}"

    def assert_subscribed(self, symbol: str, *, client_id: int | None = None, timeout: float = _TIMEOUT) -> None:
        """Assert that a client is subscribed to market data of a symbol.

        Args:
            symbol: The symbol: "AAPL".
            client_id: Look only at this client. By default, at all clients.
            timeout: The longest time to wait, in seconds.

        Raises:
            AssertionError: No client is subscribed. The text lists the symbols that have subscribers.
        """
        self._wait(lambda gateway: symbol in _subscribed_symbols(gateway, client_id), timeout)
        symbols = self.call(lambda gateway: _subscribed_symbols(gateway, client_id))
        assert symbol in symbols, f"nobody is subscribed to {symbol}; subscriptions: {', '.join(symbols) or 'none'}"

    def assert_not_subscribed(self, symbol: str, *, client_id: int | None = None, timeout: float = _TIMEOUT) -> None:
        """Assert that no client is subscribed to a symbol. It has the same arguments as `assert_subscribed`."""
        self._wait(lambda gateway: symbol not in _subscribed_symbols(gateway, client_id), timeout)
        symbols = self.call(lambda gateway: _subscribed_symbols(gateway, client_id))
        assert symbol not in symbols, f"a client is subscribed to {symbol}"

    def _wait(self, predicate: Callable[[Gateway], bool], timeout: float) -> None:
        try:
            self.wait_for(predicate, timeout)
        except TimeoutError:
            return  # the caller checks again, and reports what has not arrived

    def _describe_received(self, request: str) -> str:
        same = self.received(request)
        return f"received: {_text(same)}" if same else f"seen: {self.seen}"


def _matching(gateway: Gateway, request: str, values: tuple[object, ...]) -> list[SeenRequest]:
    if request not in REQUESTS:
        near = difflib.get_close_matches(request, REQUESTS, n=3) or ["placeOrder", "reqMktData"]
        raise ValueError(f"no request {request!r}; perhaps: {', '.join(near)}")
    return [
        item
        for item in gateway.seen.received(request)
        if all(any(_matches(field, value) for field in item.fields[1:]) for value in values)
    ]


def _matches(field: str, value: object) -> bool:
    if isinstance(value, bool):
        return field == ("1" if value else "0")
    if isinstance(value, int | float):
        try:
            return float(field) == value
        except ValueError:
            return False
    return field == str(value)


def _subscribed_symbols(gateway: Gateway, client_id: int | None) -> list[str]:
    return [
        symbol
        for client in gateway.seen.streams
        if client_id in (None, client)
        for symbol in gateway.seen.live_subscriptions(client).values()
    ]


def _text(requests: list[SeenRequest]) -> str:
    return "; ".join(" ".join(filter(None, item.fields[1:])) or "without fields" for item in requests)
