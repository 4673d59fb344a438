"""Market data: who is subscribed to what, and the ticks they get."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ibkr.simulator.instruments import Instrument
from ibkr.simulator.walk import Walk
from ibkr.wire import messages

if TYPE_CHECKING:
    from ibkr.simulator.client import Client
    from ibkr.simulator.hub import Hub

BID_SIZE, BID, ASK, ASK_SIZE, LAST, LAST_SIZE, VOLUME, CLOSE = 0, 1, 2, 3, 4, 5, 8, 9
LIVE = 1


@dataclass
class Subscription:
    """One request for market data. `is_open` once its first lines were sent, `is_stalled` when it gets no more."""

    req_id: int
    instrument: Instrument
    is_open: bool = False
    is_stalled: bool = False


class Market:
    """Sends first lines when a subscription begins, then one tick per `interval` seconds each."""

    def __init__(self, hub: "Hub", interval: float, seed: int) -> None:
        self._hub = hub
        self._interval = interval
        self._seed = seed
        self._walks: dict[int, Walk] = {}
        self._live: dict[Client, dict[int, Subscription]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def is_live(self, client: "Client", req_id: int) -> bool:
        """Whether this request id is in use for market data by this client."""
        return req_id in self._live.get(client, {})

    def subscribe(self, client: "Client", req_id: int, instrument: Instrument) -> None:
        """Begin a subscription; while its farm or the upstream is down it stays silent."""
        subscription = Subscription(req_id, instrument)
        self._live.setdefault(client, {})[req_id] = subscription
        self._tell(client)
        if self._hub.conditions.data_flows(instrument.farm):
            client.send(*self._opening(client, subscription))
        if self._timer is None:
            self._schedule(self._hub.loop.time())

    def snapshot(self, client: "Client", req_id: int, instrument: Instrument) -> None:
        """One set of ticks and their end; nothing stands afterwards."""
        lines = self._opening(client, Subscription(req_id, instrument))
        client.send(*lines, client.encode(messages.TICK_SNAPSHOT_END, req_id=req_id))

    def cancel(self, client: "Client", req_id: int) -> None:
        """End a subscription that is live."""
        del self._live[client][req_id]
        self._tell(client)

    def forget(self, client: "Client") -> None:
        """End all subscriptions of one client."""
        self._live.pop(client, None)
        self._tell(client)

    def streams(self, symbol: str = "") -> "list[tuple[Client, Subscription]]":
        """The live subscriptions, or those of one symbol."""
        return [
            (client, item)
            for client, live in self._live.items()
            for item in live.values()
            if symbol in ("", item.instrument.symbol)
        ]

    def forget_all(self) -> None:
        """What a lost upstream session does to the gateway's subscriptions (code 1101)."""
        for client in list(self._live):
            self.forget(client)

    def stop(self) -> None:
        """No more ticks."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self, client: "Client") -> None:
        live = self._live.get(client)
        symbols = {req_id: item.instrument.symbol for req_id, item in (live or {}).items()}
        if symbols:
            self._hub.seen.subscriptions[client.client_id] = symbols
        else:
            self._hub.seen.subscriptions.pop(client.client_id, None)
            self._live.pop(client, None)

    def _schedule(self, since: float) -> None:
        due = max(since + self._interval, self._hub.loop.time())
        self._timer = self._hub.loop.call_at(due, self._tick, due)

    def _tick(self, due: float) -> None:
        if not self._live:
            self._timer = None
            return
        self._schedule(due)
        conditions = self._hub.conditions
        moved: set[int] = set()
        for client, live in list(self._live.items()):
            lines: list[bytes] = []
            for item in live.values():
                if item.is_stalled or not conditions.data_flows(item.instrument.farm):
                    continue
                if item.instrument.con_id not in moved:
                    self._walk(item.instrument).step()
                    moved.add(item.instrument.con_id)
                is_new = not item.is_open
                lines += self._opening(client, item) if is_new else self._update(client, item)
                self._hub.seen.ticks += 1
            if lines:
                client.send(*lines)
        self._hub.changed()

    def _walk(self, instrument: Instrument) -> Walk:
        if instrument.con_id not in self._walks:
            self._walks[instrument.con_id] = Walk(instrument, self._seed)
        return self._walks[instrument.con_id]

    def _opening(self, client: "Client", item: Subscription) -> list[bytes]:
        # The order seen from a real TWS: 58, 81, then ticks (rust-ibapi issue 236).
        item.is_open = True
        req_id, instrument = item.req_id, item.instrument
        lines = [
            client.encode(messages.MARKET_DATA_TYPE, req_id=req_id, market_data_type=LIVE),
            client.encode(
                messages.TICK_REQ_PARAMS,
                req_id=req_id,
                min_tick=instrument.min_tick,
                bbo_exchange="9c0001",
                snapshot_permissions=3,
            ),
        ]
        quote = self._walk(instrument).quote
        lines += self._update(client, item)
        sizes = (
            (BID_SIZE, quote.bid_size),
            (ASK_SIZE, quote.ask_size),
            (LAST_SIZE, quote.last_size),
        )
        for tick_type, size in sizes:
            lines.append(self._size(client, req_id, tick_type, size))
        return [*lines, self._price(client, req_id, CLOSE, instrument.price, 0)]

    def _update(self, client: "Client", item: Subscription) -> list[bytes]:
        quote, req_id = self._walk(item.instrument).quote, item.req_id
        return [
            self._price(client, req_id, BID, quote.bid, quote.bid_size),
            self._price(client, req_id, ASK, quote.ask, quote.ask_size),
            self._price(client, req_id, LAST, quote.last, quote.last_size),
            self._size(client, req_id, VOLUME, quote.volume),
        ]

    def _price(self, client: "Client", req_id: int, kind: int, price: float, size: int) -> bytes:
        return client.encode(messages.TICK_PRICE, req_id=req_id, tick_type=kind, price=price, size=size, attributes=0)

    def _size(self, client: "Client", req_id: int, kind: int, size: int) -> bytes:
        return client.encode(messages.TICK_SIZE, req_id=req_id, tick_type=kind, size=size)
