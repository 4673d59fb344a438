"""``sys.exit()`` or Ctrl-C in the program's handler while we end a session: the session has ended all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ibkr import ConnectionState, IBConnector
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make

pytestmark = pytest.mark.usefixtures("script_loop")


class Leave:
    """A handler that raises, once."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error
        self.calls = 0

    def __call__(self, *_: object) -> None:
        self.calls += 1
        if self.calls == 1:
            raise self._error


def ticking(connector: IBConnector, ticker: Any) -> bool:
    """Wait for a tick of this session."""
    while connector.age(ticker) is None:
        connector.sleep(0.01)
    return True


def watched(connector: IBConnector, apple: Any, error: type[BaseException]) -> tuple[Leave, Any]:
    """Connect, subscribe, and raise the error in a handler when the session ends."""
    connector.connect()
    leave = Leave(error)
    connector.ib.disconnectedEvent += leave
    ticker = connector.ib.reqMktData(apple)
    assert ticking(connector, ticker)
    return leave, ticker


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_at_disconnect(make: Make, gateway: ThreadedGateway, apple: Any, error: type[BaseException]) -> None:
    connector = make()
    leave, _ = watched(connector, apple, error)
    ib = connector.ib
    with pytest.raises(error):
        connector.disconnect()
    connector.disconnect()
    assert (connector.status.state, ib.isConnected(), leave.calls) == (ConnectionState.DISCONNECTED, False, 1)
    assert (ib.tickers(), ib.positions(), connector.subscriptions) == ([], [], ())
    gateway.wait_for(lambda gateway: not gateway.client_ids)
    assert connector.connect() is True
    assert connector.status.may_trade
    assert ticking(connector, ib.reqMktData(apple))


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("again", [lambda connector: connector.wait_ready(5), lambda connector: connector.connect()])
def test_at_reconnect(
    make: Make,
    gateway: ThreadedGateway,
    apple: Any,
    error: type[BaseException],
    again: Callable[[IBConnector], object],
) -> None:
    connector = make()
    leave, ticker = watched(connector, apple, error)
    ib = connector.ib
    with pytest.raises(error):
        connector.reconnect()
    assert again(connector)
    assert (connector.status.may_trade, connector.stats.attempts, leave.calls) == (True, 2, 1)
    assert (ib.tickers(), ticking(connector, ticker)) == ([ticker], True)
    assert gateway.seen.connects == 2
