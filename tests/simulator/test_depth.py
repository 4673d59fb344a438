"""Market depth: rows are inserted, updated and deleted, and the result stays a correct book."""

import pytest

from ibkr.simulator import Gateway
from ibkr.simulator.streams.market_depth import Change, Row, changes

APPLE = (265598, "AAPL", "STK", "", 0.0, "", "", "SMART", "", "USD", "", "")


@pytest.fixture
async def gateway():
    async with Gateway(tick_interval=0.005) as running:
        yield running


class TestDepth:
    def rows(self, prices: list[float]) -> list[Row]:
        return [Row(price, 100) for price in prices]

    @pytest.mark.parametrize(
        ("before", "after", "operations"),
        [
            ([], [1.0, 2.0], [0, 0]),
            ([1.0, 2.0], [1.0, 2.0], []),
            ([1.0, 2.0], [1.5, 2.0], [1]),
            ([1.0, 2.0, 3.0], [1.0], [2, 2]),
            ([1.0], [0.5, 1.0, 2.0], [1, 0, 0]),
        ],
    )
    def test_changes(self, before: list[float], after: list[float], operations: list[int]) -> None:
        found = changes(self.rows(before), self.rows(after))
        assert [change.operation for change in found] == operations
        assert replay(self.rows(before), found) == self.rows(after)

    @pytest.mark.parametrize(("exchange", "is_smart", "message_id"), [("SMART", 1, "13"), ("ISLAND", 0, "13")])
    async def test_the_book_stays_a_book(self, session, exchange: str, is_smart: int, message_id: str) -> None:
        contract = (*APPLE[:7], "SMART" if is_smart else exchange, *APPLE[8:])
        session.send(10, 5, 5, *contract, 4, is_smart, "")
        books: dict[str, list[Row]] = {"0": [], "1": []}
        operations = set()
        for line in [await session.receive() for _ in range(400)]:
            assert line[0] == message_id
            position, operation, side = int(line[3]), int(line[5]), line[6]
            change = Change(operation, position, Row(float(line[7]), int(line[8])))
            books[side] = replay(books[side], [change])
            operations.add(operation)
            assert len(books[side]) <= 4
            assert line[9] == str(is_smart)
        assert operations == {0, 1, 2}

    async def test_a_book_without_makers(self, session) -> None:
        session.send(10, 5, 5, 495512563, *["", "", "", 0.0, "", "", "CME", "", "", "", ""], 3, 0, "")
        lines = [await session.receive() for _ in range(6)]
        assert {line[0] for line in lines} == {"12"}
        asks, bids = ([float(line[6]) for line in lines if line[5] == side] for side in "01")
        assert asks == sorted(asks)
        assert bids == sorted(bids, reverse=True)
        assert bids[0] < asks[0]

    async def test_an_index_has_none(self, session) -> None:
        session.send(10, 5, 5, 416904, *["", "", "", 0.0, "", "", "CBOE", "", "", "", ""], 3, 0, "")
        assert (await session.error())[:2] == (5, 10092)


def replay(book: list[Row], found: list[Change]) -> list[Row]:
    """Apply inserts and deletes to a list, as a client does. A position after the end of the list fails."""
    result = list(book)
    for operation, position, row in found:
        if operation == 0:
            assert position <= len(result)
            result.insert(position, row)
        elif operation == 1:
            result[position] = row
        else:
            del result[position]
    return result
