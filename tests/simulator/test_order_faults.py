"""Orders, changes and cancels that are refused, and notes about working orders: natural ones, and by command."""

import pytest
from ib_async import IB, LimitOrder

from ibkr.simulator import FaultError, Gateway, ThreadedGateway
from ibkr.wire.order_messages import OPEN_ORDER

from .conftest import Connect, RawClient
from .order_helpers import APPLE, order_request, post, reach, read, refusals

PRESET = "Order TIF was set to DAY based on order preset."
OUTSIDE = (
    "Order Event Warning:Attribute 'Outside Regular Trading Hours' is ignored based on the order type and destination. "
    "PlaceOrder is now being processed."
)


def story(lines: list[list[str]]) -> list[tuple[str, str]]:
    """The events of an order: openOrder and orderStatus with the status, errors with the code."""
    told = []
    for line in lines:
        match line[0]:
            case "5":
                told.append(("openOrder", str(read(OPEN_ORDER, line)["status"])))
            case "3":
                told.append(("orderStatus", line[2]))
            case "4":
                told.append(("error", line[3]))
    return told


async def open_prices(client: RawClient) -> dict[int, float]:
    """The limit prices of the client's open orders, by order id."""
    client.send(5, 1)
    lines = [read(OPEN_ORDER, line) for line in await client.until(53) if line[0] == "5"]
    return {line["order_id"]: line["lmt_price"] for line in lines}


REJECTED = [
    ("openOrder", "PendingSubmit"),
    ("orderStatus", "PendingSubmit"),
    ("error", "201"),
    ("openOrder", "Inactive"),
    ("orderStatus", "Inactive"),
]
"""A rejection as real gateways report it (ib_insync issue 554)."""


class TestRejectedOrders:
    async def test_an_order_that_the_account_cannot_pay(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, total_quantity=1_000_000.0, order_type="MKT"))
        client.send(5, 1)
        assert story(await client.until(53)) == REJECTED
        assert await open_prices(client) == {}

    async def test_by_command(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("reject_orders", times=2)
        for order_id in (1, 2, 3):
            client.send_raw(order_request(order_id, lmt_price=100.0))
        client.send(5, 1)
        lines = await client.until(53)
        assert story(lines)[:10] == REJECTED + REJECTED
        assert [line[4] for line in lines if line[0] == "4"] == ["Order rejected - reason:The order is refused."] * 2
        assert await open_prices(client) == {3: 100.0}

    async def test_by_command_with_a_code_and_a_text(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("reject_orders", 203, text="The security is not available.")
        client.send_raw(order_request(1, lmt_price=100.0))
        assert await client.error() == (1, 203, "The security is not available.")
        await client.caught_up()
        assert await open_prices(client) == {}

    async def test_a_bracket_goes_with_its_parent(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("reject_orders")
        client.send_raw(order_request(1, lmt_price=100.0, transmit=False))
        client.send_raw(order_request(2, action="SELL", lmt_price=400.0, parent_id=1))
        await client.until(4, "201")
        await client.caught_up()
        assert [order.status for order in gateway.orders] == ["Inactive", "Cancelled"]

    async def test_an_order_that_was_staged_first(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0, transmit=False))
        await client.caught_up()
        await gateway.fault("reject_orders")
        await gateway.fault("refuse_changes", 110)
        client.send_raw(order_request(1, lmt_price=100.0))
        assert story([await client.receive() for _ in REJECTED]) == REJECTED

    async def test_a_child_of_an_order_that_works(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        await client.until(3, "Submitted")
        await gateway.fault("reject_orders")
        client.send_raw(order_request(2, action="SELL", lmt_price=400.0, parent_id=1))
        assert (await client.error())[:2] == (2, 201)
        await client.caught_up()
        assert await open_prices(client) == {1: 100.0}

    async def test_an_order_that_worked_already(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        await client.until(3, "Submitted")
        gateway.reject_order(1, "Too far away")
        await client.caught_up()
        assert await open_prices(client) == {}
        assert gateway.orders[0].status == "Inactive"


class TestRefusedChanges:
    async def test_201_and_110_leave_the_old_terms_at_work(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        client.send_raw(order_request(1, lmt_price=101.0, total_quantity=1_000_000.0))
        assert (await client.error())[:2] == (1, 201)
        client.send_raw(order_request(1, lmt_price=101.001))
        assert (await client.error())[:2] == (1, 110)
        assert await open_prices(client) == {1: 100.0}
        assert gateway.fill(1).price == 100.0

    async def test_135_for_a_parent_that_is_not_there(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        client.send_raw(order_request(1, lmt_price=101.0, parent_id=20))
        # This text is from ib_insync issue 647.
        assert await client.error() == (1, 135, "Can't find order with id = 20")
        assert await open_prices(client) == {1: 100.0}

    @pytest.mark.parametrize(
        ("code", "text"),
        [
            (201, "Order rejected - reason:The order is refused."),
            (110, "The price does not conform to the minimum price variation for this contract."),
            (135, "Can't find order with id = 1"),
            (10147, "OrderId 1 that needs to be cancelled is not found."),
        ],
    )
    async def test_by_command(self, gateway: Gateway, connect: Connect, code: int, text: str) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        await gateway.fault("refuse_changes", code)
        client.send_raw(order_request(1, lmt_price=101.0))
        assert await client.error() == (1, code, text)
        assert await open_prices(client) == {1: 100.0}
        client.send_raw(order_request(1, lmt_price=102.0))
        assert await open_prices(client) == {1: 102.0}


class TestRefusedCancels:
    async def test_161_while_the_first_cancel_is_under_way(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        await client.caught_up()
        await gateway.fault("lose_upstream")
        client.send(4, 1, 1, "")
        await client.until(3, "PendingCancel")
        client.send(4, 1, 1, "")
        text = "Cancel attempted when order is not in a cancellable state.  Order permId ="
        assert await client.error() == (1, 161, f"{text}{gateway.orders[0].perm_id}")

    async def test_161_for_what_a_global_cancel_finds_ended(self, gateway: Gateway, connect: Connect) -> None:
        """ibkr-go recorded this: 161 for every ended order of the client, the newest order first."""
        client = await connect(gateway.port, 1)
        for order_id in (1, 2, 3):
            client.send_raw(order_request(order_id, lmt_price=100.0))
        for order_id in (1, 2):
            client.send(4, 1, order_id, "")
            await client.until(4, "202")
        client.send(58, 1)
        codes = [await client.error() for _ in range(3)]
        assert [(order_id, code) for order_id, code, _ in codes] == [(3, 202), (2, 161), (1, 161)]

    @pytest.mark.parametrize("code", [161, 10147, 10148, 135])
    async def test_by_command(self, gateway: Gateway, connected: IB, code: int) -> None:
        errors = refusals(connected)
        trade = connected.placeOrder(APPLE, LimitOrder("BUY", 100, 100.0))
        await reach(trade, "Submitted")
        await gateway.fault("refuse_cancels", code)
        connected.cancelOrder(trade.order)
        await connected.reqOpenOrdersAsync()
        assert [(order_id, found) for order_id, found, _ in errors] == [(trade.order.orderId, code)]
        assert gateway.orders[0].status == "Submitted"
        connected.cancelOrder(trade.order)
        await gateway.wait_for(lambda gateway: gateway.orders[0].status == "Cancelled")

    async def test_10148_in_the_words_of_recent_builds(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, order_type="MKT"))
        client.send(4, 1, 1, "")
        assert await client.error() == (
            1,
            10148,
            "OrderId 1 that needs to be cancelled cannot be cancelled, state: Filled.",
        )


class TestNotes:
    @pytest.mark.parametrize(("code", "text"), [(10349, PRESET), (2109, OUTSIDE)])
    async def test_a_working_order_stays_as_it_is(
        self, gateway: Gateway, connect: Connect, code: int, text: str
    ) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        await client.until(3, "Submitted")
        await gateway.fault("note_orders", code)
        assert await client.error() == (1, code, text)
        assert await open_prices(client) == {1: 100.0}

    async def test_399_says_when_the_order_will_leave(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        await client.until(3, "Submitted")
        gateway.note_order(1, 399)
        first, second, third = (await client.error())[2].split("\n")
        assert (first, second) == ("Order Message:", "BUY 100 AAPL NASDAQ.NMS")
        assert third.startswith("Warning: Your order will not be placed at the exchange until 20")
        assert third.endswith(" 09:30:00 US/Eastern.")

    async def test_new_orders_get_theirs_before_they_are_reported(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        await gateway.fault("note_new_orders", 10349, 1)
        for order_id in (1, 2):
            client.send_raw(order_request(order_id, lmt_price=100.0))
        client.send(5, 1)
        lines = await client.until(53)
        assert [line[0] for line in lines][:3] == ["4", "5", "3"]
        assert [line[2:5] for line in lines if line[0] == "4"] == [["1", "10349", PRESET]]

    async def test_in_words_of_your_own(self, gateway: Gateway, connect: Connect) -> None:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        await client.until(3, "Submitted")
        gateway.note_order("AAPL", 10354, "Something else.")
        assert await client.error() == (1, 10354, "Something else.")
        with pytest.raises(ValueError, match="no live order 7"):
            gateway.note_order(7)

    def test_from_a_plain_program(self) -> None:
        with ThreadedGateway() as gateway:
            order = gateway.place_order("AAPL", "BUY", 100, limit_price=100.0, client_id=5)
            gateway.note_order(order.order_id)
            assert gateway.orders[0].status == "Submitted"


@pytest.mark.parametrize(
    ("fault", "args"),
    [
        ("reject_orders", {"code": 201, "times": 3}),
        ("refuse_changes", {"code": 110}),
        ("refuse_cancels", {"code": 10148}),
        ("note_orders", {"code": 2109}),
        ("note_new_orders", {"code": 399, "times": 1}),
    ],
)
async def test_all_of_it_over_the_control_port(connect: Connect, fault: str, args: dict[str, object]) -> None:
    async with Gateway(control_port=0) as gateway:
        client = await connect(gateway.port, 1)
        client.send_raw(order_request(1, lmt_price=100.0))
        await client.until(3, "Submitted")
        await post(gateway, fault, **args)
        client.send_raw(order_request(2, lmt_price=100.0))
        client.send_raw(order_request(1, lmt_price=101.0))
        client.send(4, 1, 1, "")
        assert (await client.error())[1] == args["code"]


@pytest.mark.parametrize(
    "fault", ["reject_orders", "refuse_changes", "refuse_cancels", "note_orders", "note_new_orders"]
)
@pytest.mark.parametrize("args", [{"code": 2**31}, {"code": 0}, {"text": "a\0b"}])
async def test_what_no_message_can_hold_is_refused(gateway: Gateway, fault: str, args: dict[str, object]) -> None:
    with pytest.raises(FaultError, match="needed"):
        await gateway.fault(fault, **args)


async def test_clear_ends_them(gateway: Gateway, connect: Connect) -> None:
    client = await connect(gateway.port, 1)
    for fault in ("reject_orders", "refuse_changes", "refuse_cancels", "note_new_orders"):
        await gateway.fault(fault)
    await gateway.fault("clear")
    client.send_raw(order_request(1, lmt_price=100.0))
    client.send_raw(order_request(1, lmt_price=101.0))
    client.send(4, 1, 1, "")
    assert (await client.error())[:2] == (1, 202)
