"""A gateway with a fast market, a connector to it, and outages for both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from ib_async import Trade

from ibkr import ConnectionState, IBConnector, Policy
from ibkr.core.subscription_tracker import SubscriptionStage
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import AAPL, Ask, InStep, Make, Outage, StateOf

from .order_helpers import ACCOUNT, resting
from .subscription_kinds import CASES, OTHER, Case


@pytest.fixture
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    """The market runs ten times as fast: a bar of five seconds every half second. Parameters are more options."""
    options: dict[str, Any] = getattr(request, "param", {})
    async with Gateway(accounts=(ACCOUNT, OTHER), tick_interval=0.05, speed=10, id_hold=0, **options) as gateway:
        gateway.place_order("AAPL", "BUY", 100)
        yield gateway


@pytest.fixture
async def make(gateway: Gateway) -> AsyncIterator[Make]:
    """Makes connectors to the gateway: ``make(client_id=7, probe_after=1)``; policy fields by name."""
    made: list[IBConnector] = []

    def make(client_id: int = 7, timeout: float = 5, **policy: Any) -> IBConnector:
        policies = Policy(**{"region": "none"} | policy)
        connector = IBConnector("127.0.0.1", gateway.port, client_id, timeout, account=ACCOUNT, policy=policies)
        made.append(connector)
        return connector

    yield make
    for connector in made:
        await connector.disconnect_async()


class EventCounter:
    """Counts an event, or only matching ones."""

    def __init__(self, event: Any, fits: Callable[..., bool] = lambda *_: True) -> None:
        self.times = 0
        self._fits = fits
        self._news = asyncio.Event()
        event.connect(self._note, keep_ref=True)

    def _note(self, *told: object) -> None:
        if self._fits(*told):
            self.times += 1
            self._news.set()

    async def beyond(self, times: int) -> None:
        """Wait until the count is above this number."""
        async with asyncio.timeout(10):
            while self.times <= times:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def counter() -> Callable[..., EventCounter]:
    """Counts an event: ``counter(ticker.updateEvent)``."""
    return EventCounter


@pytest.fixture
def outage(gateway: Gateway, state_of: StateOf) -> Outage:
    """Injects a fault, and waits until everything works again."""

    async def play(connector: IBConnector, name: str) -> None:
        left = asyncio.ensure_future(state_of(connector, lambda status: status.state is not ConnectionState.READY))
        await asyncio.sleep(0)
        if name == "half-open":
            await gateway.fault("freeze")
            await left
            await state_of(connector, lambda status: status.state is ConnectionState.RECONNECTING)
            await gateway.fault("thaw")
        elif name == "1101":
            await gateway.fault("1100")
            await left
            await gateway.fault("1101")
        else:
            await gateway.fault(name, *((0.3,) if name == "restart" else ()))
            await left
        await connector.wait_ready_async(10)

    return play


def _standing(gateway: Gateway, client_id: int) -> set[tuple[str, int]]:
    """All that the gateway streams to this client, without start-up's own requests: request name and id."""
    found = {(kind, req_id) for req_id, (kind, _) in gateway.seen.live_streams(client_id).items()}
    client = gateway._state.sessions.get(client_id)
    if client is not None:
        found |= set(client.account_streams._streams)
    by_start_up = {
        ("reqAccountUpdatesMulti", int(request.fields[2]))
        for request in gateway.seen.received("reqAccountUpdatesMulti")
        if not request.fields[4]
    }
    return found - by_start_up - {("reqPositions", 0), ("reqAccountUpdates", 0)}


def _recorded(connector: IBConnector) -> set[tuple[str, int]]:
    """The subscriptions that are sent or live for the connector: request name and id."""
    return {
        (internals.request_name(connector, key), key)
        for key in internals.subscription_ids(connector, SubscriptionStage.SENT, SubscriptionStage.LIVE)
        if isinstance(key, int)
        and not internals.subscription_kind(connector, key).startswith("WSH")  # a WSH request ends after one answer
    }


@pytest.fixture
def in_step(gateway: Gateway) -> InStep:
    """Waits until the gateway streams exactly what the connector has subscribed to. Returns these subscriptions."""

    async def wait(connector: IBConnector, gateway: Gateway = gateway) -> set[tuple[str, int]]:
        def holds(gateway: Gateway) -> bool:
            if internals.has_held_back_subscriptions(connector):
                return False
            return _standing(gateway, connector.client_id) == _recorded(connector)

        try:
            await gateway.wait_for(holds)
        except TimeoutError:
            there, here = _standing(gateway, connector.client_id), _recorded(connector)
            raise AssertionError(
                f"only at the gateway: {there - here}, only here: {here - there}; {connector}"
            ) from None
        return _recorded(connector)

    return wait


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """Each kind of subscription."""
    found: Case = request.param
    return found


@pytest.fixture(params=[name for name in CASES if CASES[name].cancels])
def case_with_cancel(request: pytest.FixtureRequest) -> Case:
    """Each kind that the library has a cancel for."""
    return CASES[request.param]


@pytest.fixture
def cases() -> dict[str, Case]:
    """All kinds by name."""
    return CASES


@pytest.fixture
def ask() -> Ask:
    """Makes one subscription of a kind. Returns its object."""

    async def ask(case: Case, connector: IBConnector) -> Any:
        thing = case.ask(connector.ib)
        return await thing if inspect.isawaitable(thing) else thing

    return ask


@pytest.fixture
async def connector(make: Make) -> IBConnector:
    """A connected connector."""
    connector = make()
    await connector.connect_async()
    return connector


@pytest.fixture
async def trade(connector: IBConnector) -> Trade:
    """A trade whose order rests at the gateway."""
    (trade,) = await resting(connector, AAPL)
    return trade
