"""Wrong arguments: refused with a reason, and without any effect on the session."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from ibkr import ConfigError, IBConnector, Policy
from ibkr.simulator import ThreadedGateway
from tests.fixture_types import Make


async def test_an_ib_object_belongs_to_one_connection(make: Make) -> None:
    first = make()
    async with IBConnector("127.0.0.1", first.port, 8, ib=first.ib) as second:
        with pytest.raises(RuntimeError, match="belongs to another IBConnector"):
            await first.connect_async()
        with pytest.raises(ConfigError, match="another IBConnector keeps it connected"):
            IBConnector("127.0.0.1", first.port, 9, ib=second.ib)
        assert second.may_trade


@pytest.mark.parametrize("wrong", [{}, 5, Policy])
def test_only_a_policy_is_a_policy(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"policy = .*must be a Policy"):
        IBConnector("127.0.0.1", 7497, 1, policy=wrong)


async def test_what_is_no_gateway_status_does_not_end_the_session(make: Make) -> None:
    connector = make()
    await connector.connect_async()
    wrong: Any = "running"
    with pytest.raises(TypeError, match="GatewayStatus"):
        connector.tell_gateway(wrong)
    assert connector.may_trade


@pytest.mark.usefixtures("script_loop")
@pytest.mark.parametrize("way", ["script", "thread"])
def test_a_time_that_is_not_a_number_is_refused(threaded_gateway: ThreadedGateway, way: str) -> None:
    connector = IBConnector("127.0.0.1", threaded_gateway.port, 1)
    if way == "thread":
        connector.start_in_thread()
    else:
        connector.connect()
    calls: list[Callable[[], object]] = [
        lambda: connector.sleep(math.nan),
        lambda: connector.wait_ready(math.nan),
        lambda: connector.ensure_fresh(math.nan),
        lambda: connector.call(lambda ib: None, math.nan),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"must be a number of seconds, not nan"):
            call()
    assert connector.sleep(-1)
    assert connector.may_trade
    connector.stop()
