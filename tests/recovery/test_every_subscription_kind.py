"""Every kind of subscription through every kind of outage: the same object, with updates, and no duplicates."""

from __future__ import annotations

from typing import Any

import pytest

from ibkr import ConnectionState
from tests.fixture_types import Ask, Counter, InStep, Make, Outage

SHORT = {"probe_after": 0.2, "suspect_after": 0.1, "probe_timeout": 0.3, "timeout": 0.3, "backoff_first": 0.05}
OUTAGES = ["reset", "restart", "half-open", "1101"]


@pytest.mark.parametrize("name", OUTAGES)
async def test_the_same_object_goes_on(
    name: str,
    case: Any,
    make: Make,
    ask: Ask,
    counter: Counter,
    outage: Outage,
    in_step: InStep,
) -> None:
    connector = make(**SHORT)
    await connector.connect_async()
    thing = await ask(case, connector)
    news = counter(case.event(connector.ib, thing), case.fits)
    if not case.is_told_once:
        await news.beyond(0)
    before = await in_step(connector)
    times = news.times
    await outage(connector, name)
    await news.beyond(times if case.is_told_once else news.times)
    after = await in_step(connector)
    assert len(after) == len(before)
    keeps_ids = name != "1101" or not before or case.keeps_id
    assert (after == before) is keeps_ids, "on a live socket, no id is used twice"
    assert connector.status.state is ConnectionState.READY
    case.cancel(connector.ib, thing)
    if case.cancels:
        assert connector.subscriptions == ()
        assert await in_step(connector) == set()
