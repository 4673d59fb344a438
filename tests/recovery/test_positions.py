"""Positions and account values are never empty only because a session has ended."""

from __future__ import annotations

import pytest

from ibkr import ConnectionState, IBConnector, Status
from ibkr.simulator import Gateway
from tests.fixture_types import Make, StateOf

from .order_helpers import ACCOUNT, wait_until
from .subscription_kinds import OTHER


@pytest.fixture
async def connector(gateway: Gateway, make: Make) -> IBConnector:
    """A connector that is connected. Its account also holds some MSFT."""
    gateway.place_order("MSFT", "BUY", 50, account=ACCOUNT)
    connector = make()
    await connector.connect_async()
    return connector


def held(connector: IBConnector) -> dict[str, float]:
    return {each.contract.symbol: each.position for each in connector.ib.positions(ACCOUNT)}


def holds(gateway: Gateway) -> dict[str, float]:
    """The broker's own record."""
    return {
        each.instrument.symbol: each.quantity for each in gateway.positions if each.account == ACCOUNT and each.quantity
    }


async def test_the_old_rows_stay_until_the_new_ones_are_complete(
    gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    seen: list[tuple[dict[str, float], int, int]] = []

    def look(status: Status) -> None:
        values = connector.ib.accountValues(ACCOUNT)
        seen.append((held(connector), len(connector.ib.portfolio(ACCOUNT)), len(values)))

    held_before, number = holds(gateway), len(holds(gateway))
    assert held_before["MSFT"] == 50
    await wait_until(connector, lambda: len(connector.ib.portfolio(ACCOUNT)) == number)
    look(connector.status)
    connector.on_status(look)
    connector.ib.disconnectedEvent.connect(lambda: look(connector.status), keep_ref=True)
    for kind in ("reset", "restart"):
        before = connector.status.outages
        await gateway.fault(kind, *((0.2,) if kind == "restart" else ()))
        await state_of(connector, lambda status, before=before: status.outages > before)
        await connector.wait_ready_async(5)
    assert len(seen) > 4
    assert [positions for positions, _, _ in seen] == [held_before] * len(seen)
    assert {portfolio for _, portfolio, _ in seen} == {number}
    assert min(values for _, _, values in seen) > 0


@pytest.mark.parametrize("kind", ["reset", "1101"])
async def test_what_was_closed_in_the_outage_goes_when_the_answer_is_complete(
    kind: str, gateway: Gateway, connector: IBConnector, state_of: StateOf
) -> None:
    def close(gateway: Gateway) -> None:
        gateway.place_order("MSFT", "SELL", 50, account=ACCOUNT)

    gateway.on_received("reqPositions", close)
    if kind == "1101":
        await gateway.fault("1100")
    await gateway.fault(kind)
    await state_of(connector, lambda status: status.state is not ConnectionState.READY)
    await connector.wait_ready_async(5)
    assert "MSFT" not in holds(gateway)
    assert held(connector) == holds(gateway)


async def test_orders_wait_for_positions(gateway: Gateway, connector: IBConnector, state_of: StateOf) -> None:
    await gateway.fault("mute", "reqPositions")
    await gateway.fault("reset")
    status = await state_of(connector, lambda status: status.state is ConnectionState.SYNCING)
    await gateway.wait_for(lambda gateway: len(gateway.seen.received("reqExecutions")) == 2)
    await connector.ib.reqCurrentTimeAsync()
    assert not connector.status.may_trade
    assert "positions" in connector.status.may_trade_reason
    assert held(connector) == holds(gateway)
    assert status.outages == 1


async def test_orders_do_not_wait_for_positions_if_the_policy_says_so(gateway: Gateway, make: Make) -> None:
    connector = make(require_positions=False, request_timeout=0.1)
    await gateway.fault("mute", "reqPositions")
    await connector.connect_async()
    assert connector.status.may_trade


async def test_after_disconnect_there_are_none(connector: IBConnector) -> None:
    await connector.disconnect_async()
    assert held(connector) == {}
    assert connector.ib.accountValues() == []


@pytest.mark.parametrize("missing_every", [60.0, 0.5])
async def test_a_late_end_of_the_answer_is_no_flat_account(
    missing_every: float, gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    """The request is repeated because its end is overdue, although its rows have already arrived."""
    connector = make(request_timeout=0.2, missing_every=missing_every)
    await connector.connect_async()
    for message in ("positionEnd", "accountDownloadEnd"):
        await gateway.fault("delay_message", message, 0.6)
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.outages == 1)
    await state_of(connector, lambda status: status.state is ConnectionState.READY)
    assert held(connector) == holds(gateway)
    assert len(connector.ib.portfolio(ACCOUNT)) == len(holds(gateway))
    assert connector.ib.accountValues(ACCOUNT)


async def test_the_portfolio_of_an_account_that_the_program_has_requested(
    gateway: Gateway, make: Make, state_of: StateOf
) -> None:
    """Start-up does not request this portfolio. The restore requests it later."""
    gateway.place_order("MSFT", "BUY", 50, account=OTHER)
    connector = make()
    await connector.connect_async()
    connector.ib.client.reqAccountUpdates(True, OTHER)
    await wait_until(connector, lambda: connector.ib.portfolio(OTHER))
    number = len(connector.ib.portfolio(OTHER))
    seen: list[int] = []
    connector.on_status(lambda status: seen.append(len(connector.ib.portfolio(OTHER))))
    await gateway.fault("delay_message", "updatePortfolio", 0.2)
    await gateway.fault("delay_message", "accountDownloadEnd", 0.2)
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.outages == 1 and status.state is ConnectionState.READY)
    assert set(seen) == {number}
