"""A strategy, tested without TWS: ``pip install /path/to/this/clone pytest``, then ``pytest test_my_strategy.py``."""

import pytest
from ib_async import IB, Stock


def is_cheap(ib, symbol, limit):
    """Return whether this stock is offered below the limit. This is the strategy."""
    [stock] = ib.qualifyContracts(Stock(symbol, "SMART", "USD"))
    [ticker] = ib.reqTickers(stock)
    return ticker.ask < limit


@pytest.fixture
def ib(ib_gateway):
    ib = IB()
    ib.connect("127.0.0.1", ib_gateway.port, clientId=1)
    yield ib
    ib.disconnect()


def test_it_compares_the_offer(ib, ib_gateway):
    assert is_cheap(ib, "AAPL", limit=1000)
    assert not is_cheap(ib, "AAPL", limit=1)
    ib_gateway.assert_received("reqMktData", "AAPL", times=2)


def test_it_does_not_decide_without_the_gateway(ib, ib_gateway):
    ib_gateway.faults.reset()
    with pytest.raises(ConnectionError):
        is_cheap(ib, "AAPL", limit=1000)
