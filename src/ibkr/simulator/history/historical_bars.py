"""reqHistoricalData: historical bars, bars that are kept up to date, and trading schedules."""

import datetime as dt
import itertools
from typing import Final

from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.history.bar_selection import OLDEST, count_bars, select_bars, trading_days
from ibkr.simulator.history.history_parameters import (
    DAY,
    DateFormat,
    Duration,
    HistoryQuery,
    InvalidQuery,
    parse_bar_size,
    parse_duration,
    parse_time,
)
from ibkr.simulator.market import trading_sessions
from ibkr.simulator.market.bar import SECONDS, Bar, price_of
from ibkr.simulator.market.date_text import NO_ZONE, has_no_zone
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.market.quotes import Quote
from ibkr.simulator.requests.field_reader import FieldReader, MalformedField
from ibkr.simulator.requests.request_helpers import (
    BAD_WHAT,
    accept_stream_id,
    end_stream,
    find_instrument,
    read_combo_legs,
    refuse,
    send_no_data,
)
from ibkr.simulator.streams.data_streams import DataStream
from ibkr.wire import data_messages

REQUEST = "reqHistoricalData"
FARM: Final = "ushmds"
WHAT: Final = (
    "TRADES",
    "MIDPOINT",
    "BID",
    "ASK",
    "BID_ASK",
    "ADJUSTED_LAST",
    "HISTORICAL_VOLATILITY",
    "OPTION_IMPLIED_VOLATILITY",
    "SCHEDULE",
    "AGGTRADES",
    "FEE_RATE",
)
MAX_BARS = 20_000
_SHORT_BARS, _SHORT_BARS_KEPT = 30, 183 * DAY
_TRADES: Final = ("TRADES", "ADJUSTED_LAST", "AGGTRADES")
_VOLATILITIES: Final = ("HISTORICAL_VOLATILITY", "OPTION_IMPLIED_VOLATILITY")


class HistoricalUpdates(DataStream):
    """Updates of the last bar and the bars after it, every five seconds of the market's clock."""

    client: ClientSession
    kind = REQUEST
    ends_with_upstream = True

    def __init__(self, client: ClientSession, query: HistoryQuery, last: Bar) -> None:
        super().__init__(client, query.req_id, query.item, FARM)
        self._query = query
        self._bar = last
        self._next_start = trading_sessions.round_to_clock(query.item, last.start, query.size) + query.size
        self._last_update = int(client.state.market.now()) // SECONDS

    def first_messages(self, quote: Quote) -> list[bytes]:
        return []

    def next_messages(self, quote: Quote) -> list[bytes]:
        query, now = self._query, self.client.state.market.now()
        price = price_of(quote, query.what)
        if now >= self._next_start and query.size < DAY:
            self._bar = Bar(trading_sessions.round_to_clock(query.item, now, query.size), price, price, price, price)
            self._next_start = self._bar.start + query.size
        self._bar.add(price, quote.last_size if query.what in _TRADES else 0)
        if int(now) // SECONDS == self._last_update:
            return []
        self._last_update = int(now) // SECONDS
        fields = _fields(query, self._bar)
        return [self.client.encode(data_messages.HISTORICAL_DATA_UPDATE, req_id=self.req_id, **fields)]


def request(client: ClientSession, fields: FieldReader) -> None:
    """reqHistoricalData: bars (17, from version 196 with 108), or the schedule (106). 162 if there are none."""
    if client.server_version < 124:
        fields.int("Version")
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.bool("Include Expired")
    end, size, duration = (fields.text(name) for name in ("End Date Time", "Bar Size", "Duration"))
    regular = fields.bool("Use RTH")
    what = fields.text("What To Show").upper()
    format_date = fields.int("Format Date")
    legs = read_combo_legs(fields, contract)
    is_kept = client.server_version >= 124 and fields.bool("Keep Up To Date")
    if not 1 <= format_date <= 2:
        raise MalformedField("Format Date", str(format_date))
    if not accept_stream_id(client, req_id):
        return
    item = find_instrument(client, req_id, contract, legs)
    if item is None:
        return
    style = DateFormat(format_date, client.server_version, trading_sessions.zone_of(item))
    try:
        until = parse_time(end, style.zone, "End Date/Time")
        query = HistoryQuery(
            req_id, item, until, parse_bar_size(size), parse_duration(duration), regular, what, style, is_kept
        )
        _check(query)
    except InvalidQuery as error:
        refuse(client, req_id, error.code, str(error))
        return
    if refusal := _refusal(query):
        client.send_error(req_id, *refusal)
    elif not client.state.historical_pacing.is_within(query, client.state.loop.time()):
        send_no_data(client, req_id, "Historical data request pacing violation")
    elif is_history_available(client, req_id, item):
        if has_no_zone(end):
            client.send_error(req_id, *NO_ZONE)
        _answer(client, query)


def cancel(client: ClientSession, fields: FieldReader) -> None:
    """cancelHistoricalData: 162 for a request that was kept up to date, 366 for one that has ended."""
    fields.int("Version")
    req_id = fields.int("Client Req Id")
    if end_stream(client, req_id, REQUEST, 366, "No historical data query found for ticker id:{}"):
        send_no_data(client, req_id, f"API historical data query cancelled: {req_id}")


def is_history_available(client: ClientSession, req_id: int, item: Instrument) -> bool:
    """Return whether the client can get history of an instrument now. If not, send 162."""
    if client.state.conditions.competing:
        send_no_data(client, req_id, "Trading TWS session is connected from a different IP address")
    elif not client.state.conditions.has_data(FARM):
        send_no_data(client, req_id, "HMDS connection attempt failed. Connection will be re-attempted...")
    elif item.market_data == "none":
        send_no_data(client, req_id, f"No market data permissions for {item.primary_exchange} {item.sec_type}")
    else:
        return True
    return False


def has_history_type(item: Instrument, what: str) -> bool:
    """Return whether an instrument has history of this `whatToShow`."""
    if what == "AGGTRADES":
        return item.sec_type == "CRYPTO"
    if what == "FEE_RATE":
        return False
    if what in _VOLATILITIES:
        return item.sec_type in ("STK", "IND")
    if what in _TRADES:
        return item.sec_type not in ("CASH", "CFD", "CMDTY")
    return item.sec_type != "IND" or what == "SCHEDULE"


def _refusal(query: HistoryQuery) -> tuple[int, str] | None:
    """Return the error if this kind of instrument refuses the request, or `None`."""
    if query.item.sec_type == "CONTFUT" and query.end is not None:
        return 10339, "Setting end date/time for continuous future security type is not allowed."
    if query.item.sec_type == "CRYPTO" and query.what == "TRADES":
        return 10299, "Expected what to show is AGGTRADES, please use that instead of TRADES."
    return None


def _check(query: HistoryQuery) -> None:
    if query.what not in WHAT:
        raise InvalidQuery(BAD_WHAT)
    if query.keep_up_to_date and (query.end is not None or query.size < SECONDS or query.what == "BID_ASK"):
        raise InvalidQuery("End Date/Time, bars below 5 secs and BID_ASK are not supported with keepUpToDate")
    if query.what == "ADJUSTED_LAST" and query.end is not None:
        raise InvalidQuery("End Date not supported with adjusted last")
    if query.what == "SCHEDULE" and query.size != DAY:
        raise InvalidQuery("Schedule is provided for bars of 1 day only")


def _answer(client: ClientSession, query: HistoryQuery) -> None:
    now = client.state.market.now()
    end = min(query.end or now, now)
    item = query.item
    if count_bars(item, query.size, query.duration, query.regular) > MAX_BARS:
        send_no_data(client, query.req_id, "Time length exceed max.")
        return
    if not has_history_type(item, query.what):
        what = f"{item.symbol}/{item.sec_type}@{item.venue} {query.what.title()} {query.size}"
        send_no_data(client, query.req_id, f"No historical market data for {what}")
        return
    if query.what == "SCHEDULE":
        send_schedule(client, query.req_id, item, query.duration, query.regular, end)
        return
    is_gone = query.size <= _SHORT_BARS and end < now - _SHORT_BARS_KEPT
    bars: list[Bar] = []
    if end >= OLDEST and not is_gone:
        bars = select_bars(client.state.history, item, query.size, query.duration, query.regular, end)
    if not bars:
        send_no_data(
            client, query.req_id, f"HMDS query returned no data: {item.symbol}@{item.exchange} {query.what.title()}"
        )
        return
    if query.end is None:  # add the current price of the market to the last bar
        bars[-1].add(price_of(client.state.market.quote_of(item), query.what), 0)
    _send(client, query, bars, end)
    if query.keep_up_to_date:
        client.state.streams.start(HistoricalUpdates(client, query, bars[-1]))


def _fields(query: HistoryQuery, bar: Bar) -> dict[str, object]:
    """Return the fields of a bar. A bar without trades has no volume, average, and count."""
    tick, what = query.item.min_tick, query.what
    prices = [bar.open, bar.high, bar.low, bar.close]
    if what in ("BID", "ASK"):
        prices = [round(price + (tick if what == "ASK" else -tick), 6) for price in prices]
    elif what == "BID_ASK":  # average bid, highest ask, lowest bid, average ask
        prices = [round(price + sign * tick, 6) for price, sign in zip(prices, (-1, 1, -1, 1), strict=True)]
    elif what in _VOLATILITIES:
        prices = [round(0.2 + price % 1 / 10, 6) for price in (bar.close,) * 4]
    is_traded = what in _TRADES and query.item.has_trades
    values = dict(zip(("open", "high", "low", "close"), prices, strict=True))
    more = (bar.volume, bar.wap, bar.count) if is_traded else (-1, -1.0, -1)
    return {"date": query.date(bar), **values, **dict(zip(("volume", "wap", "count"), more, strict=True))}


def _send(client: ClientSession, query: HistoryQuery, bars: list[Bar], end: float) -> None:
    rows = [{"has_gaps": "false", **_fields(query, bar)} for bar in bars]
    begin = end - query.duration.seconds
    span = {"start": query.style.text(begin), "end": query.style.text(end)}
    is_ended_apart = client.server_version >= 196
    bodies = [
        client.encode(
            data_messages.HISTORICAL_DATA, req_id=query.req_id, bars=rows, **({} if is_ended_apart else span)
        ),
    ]
    if is_ended_apart:
        bodies.append(client.encode(data_messages.HISTORICAL_DATA_END, req_id=query.req_id, **span))
    client.send(*bodies)


def send_schedule(
    client: ClientSession, req_id: int, item: Instrument, duration: Duration, regular: bool, end: float
) -> None:
    """Send message 106: the sessions up to `end`, oldest first."""
    zone = trading_sessions.zone_of(item)
    count = max(1, duration.seconds // DAY)
    found = list(itertools.islice(trading_days(item, regular, end), count))[::-1]
    if not found:
        send_no_data(client, req_id, "HMDS query returned no data")
        return

    def written(time: float) -> str:
        return f"{dt.datetime.fromtimestamp(time, zone):%Y%m%d-%H:%M:%S}"

    rows = [
        {"start": written(day.start), "end": written(day.end), "reference_date": f"{day.day:%Y%m%d}"} for day in found
    ]
    client.send(
        client.encode(
            data_messages.HISTORICAL_SCHEDULE,
            req_id=req_id,
            start=rows[0]["start"],
            end=rows[-1]["end"],
            time_zone=zone.key,
            sessions=rows,
        )
    )
