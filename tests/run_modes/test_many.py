"""Several connectors in one process do not affect each other."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ibkr import ConnectionState
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make


@pytest.mark.parametrize("ways", [(True, True), (True, False), (False, False)], ids=["threads", "mixed", "script"])
@pytest.mark.usefixtures("script_loop")
def test_one_gateway_dies_and_the_other_s_calls_never_see_it(
    make: Make, gateway: ThreadedGateway, apple: Any, ways: tuple[bool, bool]
) -> None:
    with ThreadedGateway(id_hold=0) as other_gateway:
        calm, dying = make(1), make(1, port=other_gateway.port)
        for connector, own_thread in zip((calm, dying), ways, strict=True):
            if own_thread:
                connector.start_in_thread()
            else:
                connector.connect()
        ticker = calm.call(lambda ib: ib.reqMktData(apple))
        threading.Timer(0.05, other_gateway.fault, ["restart", 60]).start()
        while dying.status.state is not ConnectionState.RECONNECTING:
            assert calm.call(lambda ib: ib.reqCurrentTimeAsync())
            assert calm.call(lambda ib: ib.reqContractDetailsAsync(apple))
            dying.sleep(0.005)
        for _ in range(5):
            assert calm.call(lambda ib: ib.reqCurrentTimeAsync())
            calm.sleep(0.01)
        assert calm.status.state is ConnectionState.READY
        assert calm.status.outages == 0
        assert calm.age(ticker) is not None
        assert calm.call(lambda ib: ib.tickers()) == [ticker]
        assert dying.call(lambda ib: ib.tickers()) == []
        dying.stop()
    assert calm.call(lambda ib: ib.reqCurrentTimeAsync())
    assert gateway.seen.connects == 1


def test_two_client_ids_in_threads_of_their_own(make: Make, gateway: ThreadedGateway, apple: Any) -> None:
    one, two = make(1).start_in_thread(), make(2).start_in_thread()
    for connector in (one, two):
        connector.call(lambda ib: ib.reqMktData(apple))
    gateway.wait_for(lambda gateway: all(gateway.seen.live_subscriptions(each) for each in (1, 2)))
    one.stop()
    gateway.wait_for(lambda gateway: gateway.client_ids == [2])
    assert two.call(lambda ib: ib.reqCurrentTimeAsync())
    assert two.status.outages == 0
