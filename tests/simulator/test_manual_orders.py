"""Orders that are entered by hand in TWS: their ids, and how client 0 takes them over."""

from ibkr.simulator import Gateway
from ibkr.wire.order_messages import EXEC_DETAILS, OPEN_ORDER

from .conftest import Connect
from .order_helpers import read

UNSET = 2147483647


async def test_their_executions_have_no_order_id(connect: Connect) -> None:
    """They have the largest 32-bit number, as users report in IbPy issue 36."""
    async with Gateway(master_client_id=9) as gateway:
        master = await connect(gateway.port, 9)
        placed = gateway.place_order("AAPL", "BUY", 10)
        live = read(EXEC_DETAILS, (await master.until(11))[-1])
        assert (live["order_id"], live["client_id"], live["perm_id"]) == (UNSET, 0, placed.perm_id)
        await master.until(59)
        master.send(7, 3, 5, 0, "", "", "", "", "", "")
        asked = read(EXEC_DETAILS, (await master.until(11))[-1])
        assert (asked["order_id"], asked["perm_id"]) == (UNSET, placed.perm_id)


async def test_bound_ones_have_negative_ids_everywhere(gateway: Gateway, connect: Connect) -> None:
    placed = [gateway.place_order("AAPL", "BUY", 10, limit_price=limit) for limit in (100.0, 101.0)]
    zero = await connect(gateway.port, 0)
    zero.send(5, 1)
    lines = await zero.until(53)
    assert [line[1:] for line in lines if line[0] == "100"] == [
        [str(placed[0].perm_id), "0", "-1"],
        [str(placed[1].perm_id), "0", "-2"],
    ]
    opened = [read(OPEN_ORDER, line) for line in lines if line[0] == "5"]
    assert [(order["order_id"], order["perm_id"]) for order in opened] == [
        (-1, placed[0].perm_id),
        (-2, placed[1].perm_id),
    ]
    gateway.fill(-2)
    assert read(EXEC_DETAILS, (await zero.until(11))[-1])["order_id"] == -2


async def test_with_auto_binding_a_new_one_is_bound_before_it_is_reported(gateway: Gateway, connect: Connect) -> None:
    zero = await connect(gateway.port, 0)
    zero.send(15, 1, 1)
    await zero.caught_up()
    placed = gateway.place_order("AAPL", "BUY", 10)
    lines = await zero.until(59)
    assert lines[0] == ["100", str(placed.perm_id), "0", "-1"]
    assert {line[1] for line in lines if line[0] in ("5", "3")} == {"-1"}
    assert {line[2] for line in lines if line[0] == "11"} == {"-1"}


async def test_other_clients_see_them_without_an_id(gateway: Gateway, connect: Connect) -> None:
    placed = gateway.place_order("AAPL", "BUY", 10, limit_price=100.0)
    other = await connect(gateway.port, 3)
    other.send(16, 1)
    told = read(OPEN_ORDER, (await other.until(5))[-1])
    assert (told["order_id"], told["client_id"], told["perm_id"]) == (0, 0, placed.perm_id)
