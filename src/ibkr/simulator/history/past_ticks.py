"""Ticks of the past (reqHistoricalTicks), first timestamps, histograms."""

import datetime as dt
import itertools
from collections.abc import Iterable
from typing import Final

from ibkr.simulator.history.historical import WHAT, is_served, is_shown
from ibkr.simulator.history.past import History
from ibkr.simulator.history.selection import OLDEST
from ibkr.simulator.history.spans import DAY, BadSpan, parse_time
from ibkr.simulator.market import sessions
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.requests.asking import BAD_WHAT, not_had, refuse, the_one
from ibkr.simulator.requests.reader import FieldReader
from ibkr.simulator.session import Session
from ibkr.wire import data

_MAX_TICKS = 1000
_UTC_WITH_Z: Final = 214
"""The server version from which times in UTC end with a Z."""
_LISTED: Final = {"STK": (1980, 12, 12), "CASH": (2005, 3, 9), "IND": (1990, 1, 2), "FUT": (2025, 1, 2)}
_PERIODS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}


def past_ticks(client: Session, req_id: int, item: Instrument, what: str, times: Iterable[int]) -> bytes:
    """The body with a tick for each of these times, in seconds since the epoch."""
    history, tick = client.hub.history, item.min_tick
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
    layouts = {"BID_ASK": data.HISTORICAL_TICKS_BID_ASK, "TRADES": data.HISTORICAL_TICKS_LAST}
    return client.encode(layouts.get(what, data.HISTORICAL_TICKS), req_id=req_id, ticks=rows, done=True)


def last_seconds(history: History, item: Instrument, end: int, count: int, regular: bool) -> list[int]:
    """The last so many seconds of trading up to `end`, in their order; none before 1990."""
    found = itertools.islice(history.seconds_before(item, end, regular), count) if end >= OLDEST else ()
    return list(found)[::-1]


def ticks(client: Session, fields: FieldReader) -> None:
    """reqHistoricalTicks: up to 1000, a second apart, from a start or up to an end, in one message (96, 97 or 98)."""
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.bool("Include Expired")
    start_text, end_text = fields.text("Start Date Time"), fields.text("End Date Time")
    count = fields.int("Number Of Ticks")
    what = fields.text("What To Show").upper()
    regular = fields.bool("Use RTH")
    fields.bool("Ignore Size")
    item = the_one(client, req_id, contract)
    if item is None:
        return
    try:
        start, end = (parse_time(text, sessions.zone_of(item)) for text in (start_text, end_text))
    except BadSpan as error:
        refuse(client, req_id, 321, str(error))
        return
    if (start is None) == (end is None):
        refuse(client, req_id, 321, "Either start or end date/time must be given, and not both")
    elif not 1 <= count <= _MAX_TICKS:
        refuse(client, req_id, 321, f"Number of ticks must be between 1 and {_MAX_TICKS}")
    elif what not in ("TRADES", "BID_ASK", "MIDPOINT"):
        refuse(client, req_id, 321, BAD_WHAT)
    elif not is_shown(item, what):
        client.send_error(req_id, 10187, f"Failed to request historical ticks:No data of type {what} for {item.symbol}")
    elif is_served(client, req_id, item):
        history, now = client.hub.history, int(client.hub.market.now())
        if start is None:
            times = last_seconds(history, item, min(int(end or now), now), count, regular)
        else:
            times = list(itertools.islice(history.seconds_after(item, int(start), now, regular), count))
        client.send(past_ticks(client, req_id, item, what, times))


def head_timestamp(client: Session, fields: FieldReader) -> None:
    """reqHeadTimeStamp: when the history of an instrument begins."""
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.bool("Include Expired")
    fields.bool("Use RTH")
    what = fields.text("What To Show").upper()
    format_date = fields.int("Format Date")
    item = the_one(client, req_id, contract)
    if item is None:
        return
    if what not in WHAT:
        refuse(client, req_id, 321, BAD_WHAT)
    elif not is_shown(item, what):
        not_had(client, req_id, f"No head time stamp for {item.symbol} {what}")
    elif is_served(client, req_id, item):
        listed = dt.datetime(*_LISTED.get(item.sec_type, (2025, 1, 2)), 14, 30, tzinfo=dt.UTC)
        text = (
            str(int(listed.timestamp()))
            if format_date == 2
            else f"{listed:%Y%m%d-%H:%M:%S}{'Z' if client.server_version >= _UTC_WITH_Z else ''}"
        )
        client.send(client.encode(data.HEAD_TIMESTAMP, req_id=req_id, timestamp=text))


def histogram(client: Session, fields: FieldReader) -> None:
    """reqHistogramData: sizes by price over a period such as `3 days`."""
    req_id = fields.int("Client Req Id")
    contract = fields.contract()
    fields.bool("Include Expired")
    regular = fields.bool("Use RTH")
    words = fields.text("Time Period").split(" ")
    item = the_one(client, req_id, contract)
    if item is None:
        return
    period = _PERIODS.get(words[-1].removesuffix("s"), 0)
    if len(words) != 2 or not (words[0].isascii() and words[0].isdigit() and len(words[0]) < 4) or not period:
        refuse(client, req_id, 321, f"Time period is invalid: {' '.join(words)[:40]}, write for example: 3 days")
        return
    if not is_served(client, req_id, item):
        return
    now, history, sizes = client.hub.market.now(), client.hub.history, dict[float, int]()
    begin = now - int(words[0]) * period
    if period == DAY:  # days of trading
        begin = [day.start for day in itertools.islice(history.sessions(item, now, regular), int(words[0]) or 1)][-1]
    for bar in history.bars(item, 1800, begin, now, regular):
        sizes[bar.close] = sizes.get(bar.close, 0) + bar.volume
    points = [{"price": price, "size": size} for price, size in sorted(sizes.items())]
    client.send(client.encode(data.HISTOGRAM_DATA, req_id=req_id, points=points))


def accept_cancel(client: Session, fields: FieldReader) -> None:
    """cancelHistogramData, cancelHeadTimeStamp: they have been answered already."""
    fields.int("Client Req Id")
