"""Trading schedules, the answer to a historical request for SCHEDULE."""

import datetime as dt
import itertools

from ibkr.simulator.history.selection import trading_days
from ibkr.simulator.history.spans import DAY, Duration
from ibkr.simulator.market import sessions
from ibkr.simulator.market.instrument import Instrument
from ibkr.simulator.requests.asking import not_had
from ibkr.simulator.session import Session
from ibkr.wire import data


def send_schedule(
    client: Session, req_id: int, item: Instrument, duration: Duration, regular: bool, end: float
) -> None:
    """Send message 106: the sessions up to `end`, the oldest first."""
    zone = sessions.zone_of(item)
    count = max(1, duration.seconds // DAY)
    found = list(itertools.islice(trading_days(item, regular, end), count))[::-1]
    if not found:
        not_had(client, req_id, "HMDS query returned no data")
        return

    def written(time: float) -> str:
        return f"{dt.datetime.fromtimestamp(time, zone):%Y%m%d-%H:%M:%S}"

    rows = [
        {"start": written(day.start), "end": written(day.end), "reference_date": f"{day.day:%Y%m%d}"} for day in found
    ]
    client.send(
        client.encode(
            data.HISTORICAL_SCHEDULE,
            req_id=req_id,
            start=rows[0]["start"],
            end=rows[-1]["end"],
            time_zone=zone.key,
            sessions=rows,
        )
    )
