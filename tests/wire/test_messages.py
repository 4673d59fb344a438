"""The layouts: a decoded message equals the encoded one, bytes of real gateways fit, and ib_async's decoder agrees."""

from typing import Any

import pytest
from ib_async.decoder import Decoder

from ibkr.wire import data_messages, frame, messages
from ibkr.wire.layout import Field, Layout, LayoutError, Repeat, flatten
from tests.recording_wrapper import RecordingWrapper


class TestRealTraces:
    """Bytes that were recorded from real gateways. A NUL is written as |."""

    @pytest.mark.parametrize(
        ("layout", "version", "line", "values"),
        [
            # rust-ibapi issue 236, text gateway of 2025-04
            (
                messages.ERROR,
                178,
                "4|2|-1|2107|HMDS data farm connection is inactive but should be available upon demand.ushmds||",
                {
                    "req_id": -1,
                    "code": 2107,
                    "text": "HMDS data farm connection is inactive but should be available upon demand.ushmds",
                    "advanced_order_reject": "",
                },
            ),
            (messages.MARKET_DATA_TYPE, 178, "58|1|9000|1|", {"req_id": 9000, "market_data_type": 1}),
            (
                messages.TICK_REQ_PARAMS,
                178,
                "81|9000|0.01|9c0001|3|",
                {"req_id": 9000, "min_tick": 0.01, "bbo_exchange": "9c0001", "snapshot_permissions": 3},
            ),
            (
                messages.TICK_STRING,
                178,
                "46|6|9000|45|1744742857|",
                {"req_id": 9000, "tick_type": 45, "value": "1744742857"},
            ),
            (
                messages.TICK_PRICE,
                178,
                "1|6|9000|4|202.55|2|0|",
                {"req_id": 9000, "tick_type": 4, "price": 202.55, "size": 2.0, "attributes": 0},
            ),
            (messages.TICK_GENERIC, 178, "45|6|9000|49|0.0|", {"req_id": 9000, "tick_type": 49, "value": 0.0}),
            (messages.TICK_SIZE, 178, "2|6|9000|8|323886|", {"req_id": 9000, "tick_type": 8, "size": 323886.0}),
            # rust-ibapi issue 185, a version below 166
            (
                messages.ERROR,
                165,
                "4|2|9000|10089|Requested market data requires additional subscription for API.|",
                {
                    "req_id": 9000,
                    "code": 10089,
                    "text": "Requested market data requires additional subscription for API.",
                },
            ),
            # rust-ibapi recording at version 173
            (messages.CURRENT_TIME, 173, "49|1|1752606307|", {"time": 1752606307}),
            (
                messages.POSITION,
                173,
                "61|3|DU1|265598|AAPL|STK||0.0|||NASDAQ|USD|AAPL|NMS|-110|201.8829709|",
                {
                    "account": "DU1",
                    "con_id": 265598,
                    "symbol": "AAPL",
                    "sec_type": "STK",
                    "last_trade_date": "",
                    "strike": 0.0,
                    "right": "",
                    "multiplier": "",
                    "exchange": "NASDAQ",
                    "currency": "USD",
                    "local_symbol": "AAPL",
                    "trading_class": "NMS",
                    "position": -110.0,
                    "average_cost": 201.8829709,
                },
            ),
            (messages.POSITION_END, 173, "62|1|", {}),
            (
                messages.ACCOUNT_SUMMARY,
                173,
                "63|1|9000|DU1|NetLiquidation|246447.83|USD|",
                {"req_id": 9000, "account": "DU1", "tag": "NetLiquidation", "value": "246447.83", "currency": "USD"},
            ),
            (messages.ACCOUNT_SUMMARY_END, 173, "64|1|9000|", {"req_id": 9000}),
            # ib_insync issue 93
            (
                messages.ACCOUNT_VALUE,
                178,
                "6|2|RealizedPnL|0|BASE|DU1120207|",
                {"key": "RealizedPnL", "value": "0", "currency": "BASE", "account": "DU1120207"},
            ),
        ],
        ids=lambda value: value.name if isinstance(value, Layout) else None,
    )
    def test_both_ways(self, layout: Layout, version: int, line: str, values: dict[str, object]) -> None:
        body = line.replace("|", "\0").encode()
        assert layout.decode(version, body) == values
        assert layout.encode(version, **values) == body


class TestVersions:
    def fields(self, layout: Layout, version: int, **values: object) -> list[bytes]:
        return layout.encode(version, **values).split(b"\0")[:-1]

    @pytest.mark.parametrize(("version", "count"), [(157, 5), (165, 5), (166, 6), (193, 6), (194, 6), (200, 6)])
    def test_error(self, version: int, count: int) -> None:
        fields = self.fields(
            messages.ERROR, version, req_id=-1, code=2104, text="t", advanced_order_reject="", error_time=9
        )
        assert len(fields) == count
        assert (b"2" in fields) is (version < 194)
        assert (b"9" in fields) is (version >= 194)

    @pytest.mark.parametrize(("version", "before_symbol"), [(157, 3), (163, 3), (164, 2), (178, 2)])
    def test_contract_details_lose_their_version_at_164(self, version: int, before_symbol: int) -> None:
        fields = self.fields(messages.CONTRACT_DETAILS, version, **details())
        assert fields.index(b"AAPL") == before_symbol

    @pytest.mark.parametrize(("version", "count"), [(157, 39), (163, 40), (164, 40), (178, 40), (182, 41), (186, 42)])
    def test_contract_details_count(self, version: int, count: int) -> None:
        assert len(self.fields(messages.CONTRACT_DETAILS, version, **details())) == count

    def test_a_fund_has_seventeen_fields_more_from_179_on(self) -> None:
        counts = [
            len(self.fields(messages.CONTRACT_DETAILS, version, **details(sec_type="FUND")))
            for version in (178, 179, 186)
        ]
        assert counts == [40, 57, 59]

    @pytest.mark.parametrize(
        ("layout", "version", "count"),
        [
            (data_messages.HISTORICAL_DATA, 123, 15),
            (data_messages.HISTORICAL_DATA, 124, 13),
            (data_messages.HISTORICAL_DATA, 195, 13),
            (data_messages.HISTORICAL_DATA, 196, 11),
            (data_messages.OPTION_COMPUTATION, 155, 12),
            (data_messages.OPTION_COMPUTATION, 156, 12),
            (data_messages.DEPTH_L2, 145, 9),
            (data_messages.DEPTH_L2, 146, 10),
            (data_messages.SYMBOL_SAMPLES, 175, 10),
            (data_messages.SYMBOL_SAMPLES, 176, 12),
        ],
    )
    def test_fields_of_data_by_version(self, layout: Layout, version: int, count: int) -> None:
        assert len(self.fields(layout, version, **one_of_each(layout.fields))) == count


def one_of_each(fields: tuple[Field | Repeat, ...]) -> dict[str, object]:
    """A value for every field, and one row in every repeat."""
    return {
        item.name: [one_of_each(item.fields)] if isinstance(item, Repeat) else None
        for item in fields
        if isinstance(item, Repeat) or item.constant is None
    }


def details(**changes: object) -> dict[str, object]:
    values: dict[str, object] = {}
    for item in flatten(messages.CONTRACT_DETAILS.fields):
        if isinstance(item, Repeat):
            values[item.name] = ()
        elif item.constant is None:
            values[item.name] = {"int": 1, "float": 0.5, "size": 100.0}.get(item.kind, "")
    return {**values, "symbol": "AAPL", "long_name": "Apple \\ Börse", **changes}


@pytest.mark.parametrize("version", [157, 176, 178])
class TestClientLibraryDecodes:
    def decoded(self, version: int, layout: Layout, **values: object) -> tuple[Any, ...]:
        wrapper = RecordingWrapper()
        body = layout.encode(version, **values).decode()
        Decoder(wrapper, version).interpret(body.split("\0")[:-1])  # type: ignore[arg-type]
        ((_, args),) = wrapper.calls
        return args

    def test_error(self, version: int) -> None:
        args = self.decoded(
            version, messages.ERROR, req_id=7, code=200, text="no", advanced_order_reject="", error_time=0
        )
        assert args == (7, 200, "no", "")

    def test_contract_details(self, version: int) -> None:
        secret = [{"tag": "ISIN", "value": "US0378331005"}]
        req_id, found = self.decoded(
            version, messages.CONTRACT_DETAILS, **details(req_id=9, con_id=265598, sec_ids=secret, min_tick=0.01)
        )
        assert (req_id, found.contract.conId, found.contract.symbol, found.minTick) == (9, 265598, "AAPL", 0.01)
        assert found.longName == "Apple \\ Börse"
        assert [(item.tag, item.value) for item in found.secIdList] == [("ISIN", "US0378331005")]
        assert found.suggestedSizeIncrement == (100.0 if version >= 163 else type(found)().suggestedSizeIncrement)

    def test_portfolio(self, version: int) -> None:
        contract, *numbers, account = self.decoded(
            version,
            messages.PORTFOLIO_VALUE,
            con_id=1,
            symbol="ES",
            sec_type="FUT",
            last_trade_date="20271217",
            strike=0.0,
            right="0",
            multiplier="50",
            primary_exchange="",
            currency="USD",
            local_symbol="ESZ7",
            trading_class="ES",
            position=-1,
            market_price=2.0,
            market_value=3.0,
            average_cost=4.0,
            unrealized_pnl=5.0,
            realized_pnl=6.0,
            account="DU1",
        )
        assert (contract.localSymbol, contract.multiplier, account) == ("ESZ7", "50", "DU1")
        assert numbers == [-1.0, 2.0, 3.0, 4.0, 5.0, 6.0]

    def test_account_update_multi(self, version: int) -> None:
        values = {"account": "DU1", "model_code": "", "key": "NetLiquidation", "value": "1.0", "currency": "USD"}
        args = self.decoded(version, messages.ACCOUNT_UPDATE_MULTI, req_id=5, **values)
        assert args == (5, *values.values())

    def test_tick_price(self, version: int) -> None:
        args = self.decoded(version, messages.TICK_PRICE, req_id=4, tick_type=1, price=230.01, size=300.0, attributes=1)
        assert args == (4, 1, 230.01, 300.0)


def test_a_missing_value_is_named() -> None:
    with pytest.raises(LayoutError, match="nextValidId: no value for 'order_id'"):
        messages.NEXT_VALID_ID.encode(178)


def test_an_unknown_value_is_named() -> None:
    with pytest.raises(LayoutError, match="positionEnd has no field account"):
        messages.POSITION_END.encode(178, account="DU1")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"9\x001\0", "too few"),
        (b"9\x001\x005\x006\0", "1 fields too many"),
        (b"15\x001\x00DU1\0", "has id 9"),
    ],
)
def test_a_body_that_does_not_fit_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(LayoutError, match=words):
        messages.NEXT_VALID_ID.decode(178, body)


def test_a_message_in_its_frame() -> None:
    body = messages.NEXT_VALID_ID.encode(178, order_id=5)
    assert frame(body) == b"\0\0\0\x069\x001\x005\x00"
