"""exerciseOptions: an instruction that waits, and its effect when it is carried out."""

import pytest
from ib_async import IB

from ibkr.simulator import Execution, Gateway
from ibkr.simulator.market.instrument import Instrument
from ibkr.wire.order_messages import EXEC_DETAILS, OPEN_ORDER

from .conftest import Connect, RawClient
from .order_helpers import order_request, read

EXERCISE, LAPSE = 1, 2


def option(gateway: Gateway, strike: float, right: str) -> Instrument:
    chain = next(chain for chain in gateway._state.instruments.chains if chain.under.symbol == "AAPL")
    return next(item for item in chain.options if (item.strike, item.right) == (strike, right))


async def held_option(gateway: Gateway, client: RawClient, strike: float, right: str = "C") -> Instrument:
    """Buy two contracts of an option. Returns the option."""
    item = option(gateway, strike, right)
    client.send_raw(order_request(1, con_id=item.con_id, sec_type="OPT", order_type="MKT", total_quantity=2.0))
    await client.until(59)
    return item


def exercise(client: RawClient, req_id: int, item: Instrument, action: int, count: int = 1, override: int = 0) -> None:
    contract = (
        item.con_id,
        "AAPL",
        "OPT",
        item.last_trade_date,
        item.strike,
        item.right,
        "100",
        "SMART",
        "USD",
        "",
        "",
    )
    client.send(21, 2, req_id, *contract, action, count, "", override)


def quantities(gateway: Gateway) -> dict[tuple[str, str], float]:
    return {(held.instrument.sec_type, held.symbol): held.quantity for held in gateway.positions}


async def test_it_waits_as_an_order_under_the_request_id(gateway: Gateway, connect: Connect) -> None:
    """ibkr-go recorded these messages from a paper gateway on 2026-06-11."""
    client = await connect(gateway.port, 1)
    item = await held_option(gateway, client, 200.0)
    exercise(client, 5, item, EXERCISE)
    lines = await client.until(3, "PreSubmitted")
    told = read(OPEN_ORDER, lines[-2])
    assert (told["order_id"], told["con_id"], told["action"], told["order_type"]) == (5, item.con_id, "BUY", "LMT")
    assert (told["total_quantity"], told["lmt_price"], told["tif"], told["status"]) == (1.0, 0.0, "DAY", "PreSubmitted")
    assert quantities(gateway)["OPT", "AAPL"] == 2


@pytest.mark.parametrize(("strike", "right", "side", "stock"), [(200.0, "C", "BOT", 200.0), (260.0, "P", "SLD", 0.0)])
async def test_carried_out_the_option_goes_for_its_underlying(
    gateway: Gateway, connect: Connect, strike: float, right: str, side: str, stock: float
) -> None:
    client = await connect(gateway.port, 1)
    item = await held_option(gateway, client, strike, right)
    exercise(client, 5, item, EXERCISE)
    await client.until(3, "PreSubmitted")
    assert isinstance(gateway.fill(5), Execution)
    gone, given = [read(EXEC_DETAILS, line) for line in await client.until(59) if line[0] == "11"]
    assert (gone["sec_type"], gone["side"], gone["shares"], gone["price"]) == ("OPT", "SLD", 1.0, 0.0)
    assert (given["sec_type"], given["side"], given["shares"], given["price"]) == ("STK", side, 100.0, strike)
    assert quantities(gateway) == {("OPT", "AAPL"): 1, ("FUT", "ES"): -1} | ({("STK", "AAPL"): stock} if stock else {})
    assert gateway.orders[-1].status == "Filled"


async def test_lapsed_it_goes_for_nothing(gateway: Gateway, connect: Connect) -> None:
    client = await connect(gateway.port, 1)
    item = await held_option(gateway, client, 260.0)
    exercise(client, 5, item, LAPSE, 2)
    await client.until(3, "PreSubmitted")
    gateway.fill(5)
    (gone,) = [read(EXEC_DETAILS, line) for line in await client.until(59) if line[0] == "11"]
    assert (gone["sec_type"], gone["side"], gone["shares"], gone["price"]) == ("OPT", "SLD", 2.0, 0.0)
    assert quantities(gateway) == {("STK", "AAPL"): 100, ("FUT", "ES"): -1}


async def test_a_cancel_is_reported_as_a_failure(gateway: Gateway, connect: Connect) -> None:
    """ibkr-go recorded this sequence: 322, Cancelled, 202."""
    client = await connect(gateway.port, 1)
    item = await held_option(gateway, client, 200.0)
    exercise(client, 5, item, EXERCISE)
    await client.until(3, "PreSubmitted")
    client.send(58, 1)
    assert await client.error() == (5, 322, "Error processing request.Exercise/Lapse failed due to server rejection.")
    assert (await client.receive())[:3] == ["3", "5", "Cancelled"]
    assert (await client.error())[:2] == (5, 202)
    assert (await client.error())[:2] == (1, 161)


NOT_HELD = "Error processing request.No unlapsed position exists in this option in account DU1234567."


class TestRefusals:
    async def test_an_option_that_is_not_held(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        exercise(client, 5, option(gateway, 200.0, "C"), EXERCISE)
        assert await client.error() == (5, 322, NOT_HELD)

    @pytest.mark.parametrize(
        ("strike", "action", "text"),
        [
            (260.0, EXERCISE, "Exercise ignored because option is not in-the-money."),
            (200.0, LAPSE, "Lapse ignored because option is in-the-money."),
        ],
    )
    async def test_against_the_natural_action_unless_overridden(
        self, gateway: Gateway, connect: Connect, strike: float, action: int, text: str
    ) -> None:
        client = await connect(gateway.port, 1)
        item = await held_option(gateway, client, strike)
        exercise(client, 5, item, action)
        assert await client.error() == (5, 322, f"Error processing request.{text}")
        exercise(client, 6, item, action, override=1)
        await client.until(3, "PreSubmitted")

    async def test_more_than_is_held_is_what_is_held(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        item = await held_option(gateway, client, 200.0)
        exercise(client, 5, item, EXERCISE, 50)
        await client.until(3, "PreSubmitted")
        assert gateway.orders[-1].quantity == 2

    @pytest.mark.parametrize(("action", "code"), [(3, 321), (0, 321)])
    async def test_what_it_cannot_do(self, gateway: Gateway, connect: Connect, action: int, code: int) -> None:
        client = await connect(gateway.port, 1)
        item = await held_option(gateway, client, 200.0)
        exercise(client, 5, item, action)
        assert (await client.error())[:2] == (5, code)

    async def test_an_id_that_is_in_use(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        item = await held_option(gateway, client, 200.0)
        exercise(client, 1, item, EXERCISE)
        assert (await client.error())[:2] == (1, 103)


async def test_a_real_client(gateway: Gateway, connected: IB, connect: Connect) -> None:
    await held_option(gateway, await connect(gateway.port, 1), 200.0)
    position = next(item for item in await connected.reqPositionsAsync() if item.contract.secType == "OPT")
    position.contract.exchange = "SMART"
    connected.exerciseOptions(position.contract, EXERCISE, 1, position.account, 0)
    await gateway.wait_for(lambda gateway: gateway.orders[-1].exercise == EXERCISE)
