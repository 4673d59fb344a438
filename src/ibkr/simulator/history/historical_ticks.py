"""reqHistoricalTicks, reqHeadTimeStamp, and reqHistogramData."""

import datetime as dt
import itertools
from collections.abc import Iterable
from typing import Final

from ibkr.simulator.gateway_state import ClientSession
from ibkr.simulator.history.bar_selection import OLDEST
from ibkr.simulator.history.historical_bars import WHAT, has_history_type, is_history_available
from ibkr.simulator.history.history_parameters import DAY, InvalidQuery, parse_time
from ibkr.simulator.history.price_history import PriceHistory
from ibkr.simulator.market import trading_sessions
from ibkr.simulator.market.date_text import NO_ZONE, has_no_zone
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.requests.field_reader import FieldReader
from ibkr.simulator.requests.request_helpers import BAD_WHAT, find_instrument, refuse, send_no_data
from ibkr.wire import data_messages

_MAX_TICKS = 1000
_UTC_WITH_Z: Final = 214
"""The server version from which times in UTC end with a Z."""
_LISTED: Final = {"STK": (1980, 12, 12), "CASH": (2005, 3, 9), "IND": (1990, 1, 2), "FUT": (2025, 1, 2)}
_PERIODS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}


def past_ticks(client: ClientSession, req_id: int, item: Instrument, what: str, times: Iterable[int]) -> bytes:
    """Return the message with a tick for each of these times, in seconds since the epoch."""
    history, tick = client.state.history, item.min_tick
    rows: list[dict[str, object]] = []
    for time in times:
        price, size = history.price(item, time), 100 * (1 + time % 7)
        row: dict[str, object] = {"time": time, "attributes": 0}
        if what == "BID_ASK":
            row |= {"bid": round(price - tick, 6), "ask": round(price + tick, 6), "bid_size": size, "ask_size": size}
        elif what == "TRADES":
            row |= {"price": price, "size": size, "exchange": item.venue, "conditions": ""}
        else:
            row |= {"price": price, "size": 0}
        rows.append(row)
    layouts = {"BID_ASK": data_messages.HISTORICAL_TICKS_BID_ASK, "TRADES": data_messages.HISTORICAL_TICKS_LAST}
    return client.encode(layouts.get(what, data_messages.HISTORICAL_TICKS), req_id=req_id, ticks=rows, done=True)


def last_seconds(history: PriceHistory, item: Instrument, end: int, count: int, regular: bool) -> list[int]:
    """Return the last `count` seconds of trading up to `end`, in order. There are none before 1990."""
    found = itertools.islice(history.seconds_before(item, end, regular), count) if end >= OLDEST else ()
    return list(found)[::-1]


def ticks(client: ClientSession, fields: FieldReader) -> None:
    """reqHistoricalTicks: up to 1000, one per second, from a start or up to an end, in one message (96, 97, or 98)."""
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.bool("Include Expired")
    start_text, end_text = fields.text("Start Date Time"), fields.text("End Date Time")
    count = fields.int("Number Of Ticks")
    what = fields.text("What To Show").upper()
    regular = fields.bool("Use RTH")
    fields.bool("Ignore Size")
    item = find_instrument(client, req_id, contract)
    if item is None:
        return
    try:
        zone = trading_sessions.zone_of(item)
        start, end = parse_time(start_text, zone, "Start Date/Time"), parse_time(end_text, zone, "End Date/Time")
    except InvalidQuery as error:
        refuse(client, req_id, error.code, str(error))
        return
    if (start is None) == (end is None):
        refuse(client, req_id, 321, "Either start or end date/time must be given, and not both")
    elif not 1 <= count <= _MAX_TICKS:
        refuse(client, req_id, 321, f"Number of ticks must be between 1 and {_MAX_TICKS}")
    elif what not in ("TRADES", "BID_ASK", "MIDPOINT"):
        refuse(client, req_id, 321, BAD_WHAT)
    elif not has_history_type(item, what):
        client.send_error(req_id, 10187, f"Failed to request historical ticks:No data of type {what} for {item.symbol}")
    elif is_history_available(client, req_id, item):
        if has_no_zone(start_text or end_text):
            client.send_error(req_id, *NO_ZONE)
        history, now = client.state.history, int(client.state.market.now())
        if start is None:
            times = last_seconds(history, item, min(int(end or now), now), count, regular)
        else:
            times = list(itertools.islice(history.seconds_after(item, int(start), now, regular), count))
        client.send(past_ticks(client, req_id, item, what, times))


def head_timestamp(client: ClientSession, fields: FieldReader) -> None:
    """reqHeadTimeStamp: the start of an instrument's history."""
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.bool("Include Expired")
    fields.bool("Use RTH")
    what = fields.text("What To Show").upper()
    format_date = fields.int("Format Date")
    item = find_instrument(client, req_id, contract)
    if item is None:
        return
    if what not in WHAT:
        refuse(client, req_id, 321, BAD_WHAT)
    elif not has_history_type(item, what):
        send_no_data(client, req_id, f"No head time stamp for {item.symbol} {what}")
    elif is_history_available(client, req_id, item):
        listed = dt.datetime(*_LISTED.get(item.sec_type, (2025, 1, 2)), 14, 30, tzinfo=dt.UTC)
        text = (
            str(int(listed.timestamp()))
            if format_date == 2
            else f"{listed:%Y%m%d-%H:%M:%S}{'Z' if client.server_version >= _UTC_WITH_Z else ''}"
        )
        client.send(client.encode(data_messages.HEAD_TIMESTAMP, req_id=req_id, timestamp=text))


def histogram(client: ClientSession, fields: FieldReader) -> None:
    """reqHistogramData: sizes by price over a period such as `3 days`."""
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.bool("Include Expired")
    regular = fields.bool("Use RTH")
    words = fields.text("Time Period").split(" ")
    item = find_instrument(client, req_id, contract)
    if item is None:
        return
    period = _PERIODS.get(words[-1].removesuffix("s"), 0)
    if len(words) != 2 or not (words[0].isascii() and words[0].isdigit() and len(words[0]) < 4) or not period:
        refuse(client, req_id, 321, f"Time period is invalid: {' '.join(words)[:40]}, write for example: 3 days")
        return
    if not is_history_available(client, req_id, item):
        return
    now, history, sizes = client.state.market.now(), client.state.history, dict[float, int]()
    begin = now - int(words[0]) * period
    if period == DAY:  # for this request, a day is a trading day
        begin = [day.start for day in itertools.islice(history.sessions(item, now, regular), int(words[0]) or 1)][-1]
    for bar in history.bars(item, 1800, begin, now, regular):
        sizes[bar.close] = sizes.get(bar.close, 0) + bar.volume
    points = [{"price": price, "size": size} for price, size in sorted(sizes.items())]
    client.send(client.encode(data_messages.HISTOGRAM_DATA, req_id=req_id, points=points))


def accept_cancel(client: ClientSession, fields: FieldReader) -> None:
    """cancelHistogramData, cancelHeadTimeStamp: do nothing, because the request is already answered."""
    fields.int("Client Req Id")
