"""Custody: the subscriptions that the program holds, kept through any loss and asked for again.

Subscriptions are recorded at the client, below the library's ``IB``: whichever way they are asked for or cancelled,
``client.reqMktData`` and ``client.cancelMktData`` are called (facts/client-library.md, section 7).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

from ibkr.core.codes import Reaction, is_warning, reaction
from ibkr.core.facts import WatchedStream
from ibkr.core.ledger import Ledger, Standing
from ibkr.core.policy import Policy
from ibkr.core.rhythm import patience_for
from ibkr.core.state import Feed
from ibkr.session.egress import Egress

logger = logging.getLogger("ibkr.session")

# Where a message that answers a subscription has its request id (facts/tws-protocol.md, section 5).
_REQ_ID_AT = {"1": 2, "2": 2, "21": 1, "45": 2, "46": 2, "47": 2, "57": 2, "58": 2, "81": 1, "84": 1}
_TICKS = frozenset({"1", "2", "21", "45", "46", "47"})
_FOR_MEDIAN = 64


@dataclass(slots=True)
class _Held:
    """One stream of market data: the object in the caller's hands, and how it was asked for.

    ``contract`` is a copy, and ``key`` its hash at that time: the caller may alter the contract later.
    """

    ticker: Any
    contract: Any
    key: int
    arguments: tuple[Any, ...]
    ticks: deque[float]


class Custody:
    """Records, puts back, asks again. ``on_moved`` is called when a subscription's standing changed."""

    def __init__(self, ib: Any, egress: Egress, policy: Policy, on_moved: Callable[[], None]) -> None:
        self._egress = egress
        self._policy = policy
        self._client = ib.client
        self._wrapper = ib.wrapper
        self._on_moved = on_moved
        self.ledger = Ledger()
        self._held: dict[int, _Held] = {}
        # When each ticker ticked, by its identity: looked up for each packet, and a Ticker's own hash is slow.
        self._ticks: dict[int, deque[float]] = {}
        self._data_type: int | None = None
        self._retired: set[int] = set()
        self._is_sending = False
        self._request = ib.client.reqMktData
        self._cancel = ib.client.cancelMktData
        self._set_data_type = ib.client.reqMarketDataType
        self._interpret = ib.client.decoder.interpret
        ib.client.reqMktData = self._req_mkt_data
        ib.client.cancelMktData = self._cancel_mkt_data
        ib.client.reqMarketDataType = self._req_market_data_type

    def session_ended(self) -> None:
        """The gateway knows none of it any more; the library has emptied its maps, they are filled again."""
        self._stop_watching()
        self._retired.clear()
        self.ledger.unsend()
        for req_id, held in self._held.items():
            held.ticks.clear()
            self._put_back(req_id, held)

    def restore(self, *, same_session: bool) -> None:
        """Ask for everything again that is not running.

        In a new session each keeps its request id. On a live socket the id may still be taken at the gateway: each is
        cancelled and asked for under a fresh one.
        """
        if same_session:
            self.ledger.unsend()
            for req_id in list(self._held):
                self._move(req_id)
        if self._data_type is not None:
            self._set_data_type(self._data_type)
        for req_id in self.ledger.ids(Standing.WANTED):
            try:
                self._send(req_id, self._held[req_id])
            except Exception as error:
                logger.exception("A subscription could not be asked for again; the others go on")
                self.ledger.refuse(req_id, repr(error))

    def note_ticks(self, now: float) -> None:
        """A packet was read: its tickers have ticked."""
        for ticker in self._wrapper.pendingTickers:
            ticks = self._ticks.get(id(ticker))
            if ticks is not None:
                ticks.append(now)

    def used_to_tick(self, feed: Feed | None, trouble_since: float) -> tuple[WatchedStream, ...]:
        """The streams of this feed (None: of all) that ticked before the trouble, and how long each may be silent."""
        found = []
        for req_id, held in self._held.items():
            patience = patience_for(held.ticks, trouble_since, self._policy)
            if patience is not None and feed in (None, Feed.MARKET):
                found.append(WatchedStream(req_id, patience))
        return tuple(found)

    def ask_again(self, req_ids: tuple[int, ...], unless_since: float | None) -> None:
        """Ask for these anew under fresh ids, but not for what the caller has cancelled or what has ticked since."""
        for req_id in req_ids:
            held = self._held.get(req_id)
            if held is None or (unless_since is not None and held.ticks and held.ticks[-1] > unless_since):
                continue
            logger.info("Asking again for %s: it had stopped", self.ledger.label(req_id))
            self._send(self._move(req_id), held)

    def release(self) -> None:
        """Nothing is wanted any more."""
        self._stop_watching()
        self._held.clear()
        self._ticks.clear()
        self._retired.clear()
        self._data_type = None
        self.ledger.clear()

    def error_received(self, req_id: int, code: int, text: str) -> bool:
        """Take note of an error about a subscription; False when nobody else needs to hear of it."""
        if code == 300 and req_id in self._retired:
            self._retired.discard(req_id)
            return False  # the gateway had forgotten the stream whose old id we cancelled, as after 1101 it should
        match reaction(code):
            case Reaction.STREAM_ENDED:
                if self.ledger.end(req_id, f"{code}: {text}"):
                    self._moved()
                return True
            case Reaction.STREAM_WITHHELD:
                if self.ledger.withhold(req_id):
                    self._watch()
                    self._on_moved()
                return True
        if not is_warning(code) and self.ledger.refuse(req_id, f"{code}: {text}"):
            if req_id not in self.ledger.ids():
                self._drop(req_id)
            self._moved()
        return True

    def _req_mkt_data(
        self, req_id: int, contract: Any, generic_ticks: str, snapshot: bool, regulatory: bool, options: Any
    ) -> None:
        if snapshot or regulatory:
            self._request(req_id, contract, generic_ticks, snapshot, regulatory, options)
            return
        ticker = self._wrapper.reqId2Ticker.get(req_id)
        arguments = (generic_ticks, snapshot, regulatory, options)
        held = _Held(ticker, copy(contract), hash(contract), arguments, deque(maxlen=self._remembered))
        self._replace(ticker)
        self._held[req_id] = held
        self._ticks[id(ticker)] = held.ticks
        self.ledger.want(req_id, contract.localSymbol or contract.symbol or f"contract {contract.conId}")
        try:
            self._send(req_id, held)
        except Exception:
            self._drop(req_id)
            self.ledger.forget(req_id)
            raise

    def _cancel_mkt_data(self, req_id: int) -> None:
        known = req_id in self._held
        if known:
            self._drop(req_id)
        self.ledger.forget(req_id)
        if self._client.isConnected() or not known:
            self._cancel(req_id)
        if known:
            self._on_moved()

    def _req_market_data_type(self, data_type: int) -> None:
        self._data_type = data_type
        self._set_data_type(data_type)

    def _replace(self, ticker: Any) -> None:
        """The ticker is asked for again, as in a connectedEvent handler: the library forgets the old id, we end it."""
        for old in [req_id for req_id, held in self._held.items() if held.ticker is ticker]:
            self._drop(old)
            self.ledger.forget(old)
            self._wrapper.reqId2Ticker.pop(old, None)
            self._wrapper._reqId2Contract.pop(old, None)
            if self._client.isConnected():
                self._retired.add(old)
                self._cancel(old)

    def _drop(self, req_id: int) -> None:
        held = self._held.pop(req_id)
        self._ticks.pop(id(held.ticker), None)

    @property
    def _remembered(self) -> int:
        """How many ticks of a stream: enough for its median interval."""
        return max(_FOR_MEDIAN, self._policy.stream_ticks)

    def _send(self, req_id: int, held: _Held) -> None:
        self.ledger.queued(req_id)
        self._watch()
        self._is_sending = True
        try:
            with self._egress.telling(lambda: self._left(req_id)):
                self._request(req_id, held.contract, *held.arguments)
        finally:
            self._is_sending = False

    def _left(self, req_id: int) -> None:
        """The request has left, at once or after a wait; only the end of a wait is news."""
        if self.ledger.sent(req_id) and not self._is_sending and not self.ledger.held_back:
            self._on_moved()

    def _move(self, old: int) -> int:
        """Go on under a fresh id, the one returned."""
        held = self._held.pop(old)
        held.ticks.clear()
        self._retired.add(old)
        self._cancel(old)
        self._wrapper.reqId2Ticker.pop(old, None)
        self._wrapper._reqId2Contract.pop(old, None)
        new = self._client.getReqId()
        self._held[new] = held
        self.ledger.move(old, new)
        self._put_back(new, held)
        return int(new)

    def _put_back(self, req_id: int, held: _Held) -> None:
        if held.ticker is None:
            return
        wrapper = self._wrapper
        wrapper.tickers[held.key] = held.ticker
        wrapper.reqId2Ticker[req_id] = held.ticker
        wrapper.ticker2ReqId["mktData"][held.ticker] = req_id
        wrapper._reqId2Contract[req_id] = held.contract

    def _watch(self) -> None:
        self._client.decoder.interpret = self._interpret_and_look

    def _stop_watching(self) -> None:
        # Only while a first message or a withheld one's next tick is awaited does each message pay for the look.
        self._client.decoder.interpret = self._interpret

    def _interpret_and_look(self, fields: list[str]) -> None:
        at = _REQ_ID_AT.get(fields[0])
        if at is not None and len(fields) > at:
            req_id = int(fields[at])
            is_live = self.ledger.live(req_id)
            if (fields[0] in _TICKS and self.ledger.ticked(req_id)) or is_live:
                self._moved()
        self._interpret(fields)

    def _moved(self) -> None:
        if self.ledger.pending == 0 and not self.ledger.withheld:
            self._stop_watching()
        self._on_moved()
