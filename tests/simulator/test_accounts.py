"""Account requests: single answers, and streams of changes."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from ib_async import IB

from ibkr.simulator import Gateway

TIMEOUT = 3.0
TICK = 0.002


@pytest.fixture
async def both() -> AsyncIterator[Gateway]:
    """A gateway with two accounts."""
    async with Gateway(accounts=("DU1", "DU2"), tick_interval=TICK) as running:
        yield running


def buy(gateway: Gateway, account: str = "DU1", symbol: str = "AAPL", quantity: float = 10) -> None:
    gateway.place_order(symbol, "BUY", quantity, account=account)


async def test_positions_of_your_own(ib: IB) -> None:
    held = [("DU1", 272093, 5.0, 400.5), ("DU2", 265598, -3.0, 200.0), ("DU2", 1, 1.0, 1.0)]
    async with Gateway(accounts=("DU1", "DU2"), holdings=held) as gateway:
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=TIMEOUT)
        told = [(one.account, one.contract.conId, one.position, one.avgCost) for one in ib.positions()]
        assert sorted(told) == sorted(held[:2])
        ib.disconnect()


class TestPnl:
    async def test_it_streams_while_prices_move(self, gateway: Gateway, ib: IB) -> None:
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=TIMEOUT)
        pnl = ib.reqPnL("DU1234567")
        single = ib.reqPnLSingle("DU1234567", "", 265598)
        heard: list[float] = []
        ib.pnlEvent += lambda changed: heard.append(changed.unrealizedPnL)
        while len(heard) < 3:
            await asyncio.wait_for(ib.pnlEvent, TIMEOUT)
        assert len(set(heard)) >= 2
        assert pnl.unrealizedPnL == heard[-1]
        assert (single.position, single.value) == (100, pytest.approx(23_000, rel=0.05))
        assert single.unrealizedPnL == pytest.approx(single.value - 100 * 201.88)

    async def test_it_ends_with_its_cancel(self, gateway: Gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        client.send(92, 5, "DU1234567", "")
        client.send(94, 6, "DU1234567", "", 265598)
        await client.until(94)
        await client.until(95)
        await client.until(95)
        client.send(93, 5)
        client.send(95, 6)
        await client.caught_up()
        assert await client.hears_nothing()

    async def test_daily_profit_counts_what_was_paid(self, gateway: Gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        client.send(92, 5, "DU1234567", "")
        assert await client.receive() == ["94", "5", "0.0", "2312.0", "0.0"]  # 100 x (230 - 201.88) - 500 of the future
        gateway.place_order("AAPL", "SELL", 100)
        daily, unrealized, realized = map(float, (await client.until(94))[-1][2:])
        price = gateway.executions[0].price
        assert realized == pytest.approx(100 * (price - 201.88) - 1.0, abs=0.01)
        assert daily == pytest.approx(100 * (price - 230.0) - 1.0 + (unrealized + 500), abs=0.01)

    async def test_of_a_contract_that_is_not_held_there_is_nothing_until_it_is(self, gateway: Gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        client.send(94, 5, "DU1234567", "", 272093)
        assert await client.hears_nothing()
        gateway.place_order("MSFT", "BUY", 10)
        assert (await client.until(95))[-1][:3] == ["95", "5", "10"]

    async def test_unknown_account_and_unknown_cancel(self, gateway: Gateway, connect) -> None:
        client = await connect(gateway.port, 1)
        client.send(92, 5, "DU999", "")
        assert (await client.error())[:2] == (5, 321)
        client.send(93, 5)
        assert (await client.error())[:2] == (5, 300)


class TestSeveralAccounts:
    async def test_positions_of_one_and_of_all(self, both: Gateway, connect) -> None:
        client = await connect(both.port, 1)
        client.send(74, 1, 5, "DU2", "")
        assert [line[3] for line in await client.until(72) if line[0] == "71"] == ["DU2", "DU2"]
        client.send(74, 1, 6, "All", "")
        accounts = [line[3] for line in await client.until(72, "6") if line[0] == "71"]
        assert accounts == ["DU1", "DU1", "DU2", "DU2"]
        client.send(74, 1, 7, "DU3", "")
        assert (await client.error())[:2] == (7, 321)

    async def test_changes_are_sent_to_clients_that_requested_that_account(self, both: Gateway, connect) -> None:
        client = await connect(both.port, 1)
        client.send(74, 1, 5, "DU2", "")
        await client.until(72)
        buy(both, "DU1")
        assert await client.hears_nothing()
        buy(both, "DU2")
        line = await client.receive()
        assert (line[0], line[3], line[5], line[-3]) == ("71", "DU2", "AAPL", "110")
        client.send(75, 1, 5)
        await client.caught_up()
        buy(both, "DU2")
        assert await client.hears_nothing()

    async def test_positions_of_all_accounts_follow_until_cancelled(self, both: Gateway, connect) -> None:
        client = await connect(both.port, 1)
        client.send(61, 1)
        assert [line[2] for line in await client.until(62) if line[0] == "61"] == ["DU1", "DU1", "DU2", "DU2"]
        buy(both, "DU2")
        line = await client.receive()
        assert (line[0], line[2], line[-2]) == ("61", "DU2", "110")
        client.send(64, 1)
        await client.caught_up()
        buy(both, "DU2")
        assert await client.hears_nothing()

    async def test_account_updates_are_of_one_account_at_a_time(self, both: Gateway, connect) -> None:
        client = await connect(both.port, 1)
        client.send(6, 2, 1, "DU1")
        await client.until(54, "DU1")
        client.send(6, 2, 1, "DU2")
        assert (await client.error())[:2] == (-1, 2100)
        await client.until(54, "DU2")
        buy(both, "DU1")
        assert await client.hears_nothing()
        buy(both, "DU2")
        lines = await client.until(7)
        cash = next(line for line in lines if line[2] == "TotalCashValue")
        assert float(cash[3]) < 1_000_000
        assert lines[-1][-1] == "DU2"
        await client.drain()
        client.send(6, 2, 0, "DU2")
        await client.caught_up()
        buy(both, "DU2")
        assert await client.hears_nothing()

    async def test_values_of_one_account_by_request_id(self, both: Gateway, connect) -> None:
        client = await connect(both.port, 1)
        client.send(76, 1, 5, "DU1", "", 0)
        await client.until(74)
        client.send(76, 1, 6, "All", "", 0)
        assert {line[3] for line in await client.until(74, "6") if line[0] == "73"} == {"DU1", "DU2"}
        client.send(77, 1, 6)
        buy(both, "DU1")
        line = (await client.until(73, "TotalCashValue"))[-1]
        assert (line[2], float(line[6]) < 1_000_000) == ("5", True)

    async def test_summary_of_all_and_of_one(self, both: Gateway, connect) -> None:
        client = await connect(both.port, 1)
        client.send(62, 1, 5, "All", "NetLiquidation,$LEDGER:USD")
        rows = [line for line in await client.until(64) if line[0] == "63"]
        assert {line[3] for line in rows} == {"DU1", "DU2"}
        assert {(line[4], line[6]) for line in rows} >= {("NetLiquidation", "USD"), ("CashBalance", "USD")}
        buy(both, "DU2")
        line = (await client.until(63, "CashBalance"))[-1]
        assert (line[2], line[3]) == ("5", "DU2")
        client.send(62, 1, 6, "Nobody", "NetLiquidation")
        assert (await client.error())[:2] == (6, 321)
