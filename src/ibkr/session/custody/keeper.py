"""The keeper: puts back what is held after a loss, and asks for it again; the same for every kind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from ibkr.core.codes import Reaction, is_for_now, is_warning, reaction
from ibkr.core.facts import Key, WatchedStream
from ibkr.core.ledger import Ledger, Standing
from ibkr.core.policy import Policy
from ibkr.core.rhythm import patience_for
from ibkr.core.state import Feed
from ibkr.session.custody import bars
from ibkr.session.custody.ears import Ears
from ibkr.session.custody.kind import AfterGap, Held
from ibkr.session.custody.requests import Requests
from ibkr.session.custody.shelf import Shelf
from ibkr.session.egress import Egress, Sending

logger = logging.getLogger("ibkr.session")

_FOR_MEDIAN = 64
_BUST = 10225


class Custody:
    """Puts back, asks again. ``on_moved`` is called when a subscription's standing changed."""

    def __init__(self, ib: Any, egress: Egress, policy: Policy, on_moved: Callable[[], None]) -> None:
        self._ib, self._client, self._wrapper = ib, ib.client, ib.wrapper
        self._egress = egress
        self._policy = policy
        self._on_moved = on_moved
        self._shelf = Shelf(ib.wrapper, max(_FOR_MEDIAN, policy.stream_ticks))
        self._retired: dict[Key, frozenset[int]] = {}
        self._is_sending = False
        self._ears = Ears(ib.client.decoder, self._message_came, self._heard_of)
        self._requests = Requests(ib, self._shelf, self._send, self._end_at_gateway, on_moved)
        self.start_up = self._requests.start_up
        self.announcement = self._requests.announcement

    @property
    def ledger(self) -> Ledger:
        """Where each subscription stands."""
        return self._shelf.ledger

    @property
    def is_wanted(self) -> bool:
        """Whether what is asked for is recorded, with or without a session."""
        return self._requests.is_wanted

    @property
    def has_to_restore(self) -> bool:
        """Whether ``restore`` would send anything."""
        return bool(self._shelf.held) or self._requests.data_type_differs

    def begin(self) -> None:
        """An attempt begins: what is asked for from now on is recorded."""
        self._requests.is_wanted = True
        self._requests.is_open = False

    def session_opened(self) -> None:
        """The gateway has said which ids are free. Start-up follows, then ``restore``."""
        self._requests.session_opened()
        self._sweep()

    def session_ends(self) -> None:
        """Who awaits an answer gets an error; if it was the first one, nobody will ever hold its object."""
        for key, _ in self._shelf:
            if key in self._wrapper._futures:
                self._shelf.forget(key)
        fail_all(self._wrapper._futures)

    def session_ended(self) -> None:
        """The gateway knows none of it any more; the library has emptied its maps, they are filled again."""
        self._ears.wait(())
        self._retired.clear()
        self.ledger.unsend()
        for key, _ in self._shelf:
            self._shelf.silence(key)
        self._shelf.put_back()

    def restore(self, *, same_session: bool) -> None:
        """Ask for everything again that is not running.

        In a new session each keeps its request id, unless it was given before any gateway had said which are free. On
        a live socket the id may still be taken at the gateway: each is cancelled and asked for under a fresh one.
        """
        for key, held in self._shelf:
            held.filled = None
            if held.is_early or (same_session and self.ledger.is_asked(key)):
                self._move(key)
        if same_session:
            self.ledger.unsend()
            self._requests.forget_data_type()
        for key in self.ledger.ids(Standing.WANTED):
            try:
                self._send(key)
            except Exception as error:
                logger.exception("A subscription could not be asked for again; the others go on")
                self.ledger.refuse(key, repr(error))
        self._requests.use_data_type()

    def after_gap(self) -> AfterGap:
        """What has become of the subscriptions since ``restore``."""
        label = self.ledger.label
        filled = tuple((label(key), held.filled) for key, held in self._shelf if held.filled is not None)
        unfilled = tuple(label(key) for key, _ in self._shelf if bars.is_awaited(self._wrapper, key))
        refused = tuple(stream.words for stream in self.ledger.refused)
        return AfterGap(self.ledger.restored, refused, filled, unfilled)

    def note_ticks(self, now: float) -> None:
        """A packet was read: its tickers have ticked."""
        every = self._shelf.heard
        for ticker in self._wrapper.pendingTickers:
            heard = every.get(id(ticker))
            if heard is not None:
                heard.append(now)

    def age(self, thing: object, now: float) -> float | None:
        """Seconds since the last message about this object in this session; None before one."""
        heard = self._shelf.heard.get(id(thing))
        return now - heard[-1] if heard else None

    def used_to_tick(self, feed: Feed | None, trouble_since: float) -> tuple[WatchedStream, ...]:
        """The streams of this feed (None: of all) that ticked before the trouble, and how long each may be silent."""
        found = []
        for key, held in self._shelf:
            if held.kind.is_watched and feed in (None, held.kind.feed):
                patience = patience_for(held.heard, trouble_since, self._policy)
                if patience is not None:
                    found.append(WatchedStream(key, patience))
        return tuple(found)

    def ask_again(self, keys: tuple[Key, ...], unless_since: float | None) -> None:
        """Ask for these anew under fresh ids, but not for what the caller has cancelled or what has ticked since."""
        for key in keys:
            held = self._shelf.held.get(key)
            if held is None or (unless_since is not None and held.heard and held.heard[-1] > unless_since):
                continue
            logger.info("Asking again for %s: it had stopped", self.ledger.label(key))
            self._send(self._move(key))
        self._requests.use_data_type()

    def release(self) -> None:
        """Nothing is wanted any more: streams have ended, and whoever awaits an answer is told."""
        self._ears.wait(())
        if not self._client.isReady():
            self._sweep()
        self._requests.release()
        for key, held in self._shelf:
            if hasattr(held.thing, "updateEvent"):
                held.thing.updateEvent.set_done()
            self._shelf.clear_away(key)
        fail_all(self._wrapper._futures)
        self._retired.clear()

    def error_received(self, req_id: int, code: int, text: str, tell: Callable[[], None]) -> None:
        """Take note of an error; ``tell`` has the library hear of it, unless nobody needs to."""
        if code in self._retired.get(req_id, ()):
            return  # the gateway had forgotten the stream whose old id we cancelled, as after 1101 it should
        what = reaction(code)
        if what is Reaction.STREAM_ENDED or (is_for_now(code, text) and self.ledger.has_run(req_id)):
            self._ended(req_id, code, text, tell)
            return
        if what is Reaction.STREAM_WITHHELD and self.ledger.withhold(req_id):
            self._moved()
        is_refused = not is_warning(code) and self.ledger.refuse(req_id, text, code)
        is_dropped = is_refused and req_id not in self.ledger
        if is_refused:
            self._moved()
        tell()
        if is_dropped:
            self._shelf.clear_away(req_id)

    def _sweep(self) -> None:
        """While there was no session, all other requests have raised: nobody waits for what the library noted."""
        wrapper = self._wrapper
        for key in [key for key in wrapper._futures if key not in self._shelf.held]:
            wrapper._futures.pop(key).cancel()
            wrapper._results.pop(key, None)
            wrapper._reqId2Contract.pop(key, None)

    def _ended(self, req_id: int, code: int, text: str, tell: Callable[[], None]) -> None:
        has_ended = self.ledger.end(req_id, text, code)
        try:
            if has_ended and code == _BUST:  # the library would ask for bars again itself, beside us
                self._ib.errorEvent.emit(req_id, code, text, self._wrapper._reqId2Contract.get(req_id))
            else:
                tell()
        finally:
            if has_ended:
                self._moved()

    def _send(self, key: Key) -> None:
        held = self._shelf.held[key]
        if held.kind.has_data_type:
            self._requests.use_data_type(held)
        self.ledger.queued(key)
        self._listen()
        self._is_sending = True
        try:
            with self._egress.telling(Sending(partial(self._left, key, held))):
                self._requests.send(key, held, held.kind.prepare(self._wrapper, key, held))
        finally:
            self._is_sending = False

    def _left(self, key: Key, held: Held) -> None:
        """The request has left, at once or after a wait; only the end of a wait is news."""
        if not self.ledger.sent(key):
            return
        if not held.kind.answers:
            self.ledger.live(key)
        if not self._is_sending and not self.ledger.held_back:
            self._on_moved()

    def _move(self, old: Key) -> Key:
        """Go on under a fresh id, the one returned."""
        held = self._shelf.held[old]
        self._shelf.silence(old)
        held.is_early = False
        if not held.kind.has_id:  # asked for again, it takes the place of itself
            return old
        if self.ledger.is_asked(old):
            self._end_at_gateway(old, held)
        if held.kind.keeps_id:
            return old
        new: int = self._client.getReqId()
        self._shelf.move(old, new)
        return new

    def _end_at_gateway(self, key: Key, held: Held) -> None:
        """Cancel what goes on under another id; the gateway may have forgotten it, and that is no error."""
        self._retired[key] = held.kind.gone
        self._requests.cancel(key, held)

    def _message_came(self, key: Key, is_data: bool) -> None:
        is_live = self.ledger.live(key)
        if (is_data and self.ledger.ticked(key)) or is_live:
            self._moved()

    def _heard_of(self, key: Key) -> None:
        held = self._shelf.held.get(key)
        if held is not None:
            held.heard.append(asyncio.get_running_loop().time())
            held.kind.answered(self._ib, key, held)

    def _moved(self) -> None:
        self._listen()
        self._on_moved()

    def _listen(self) -> None:
        # Only while a first message or a withheld one's next tick is awaited does a message pay for the look.
        self._ears.wait(self.ledger.awaited)


def fail_all(futures: dict[Any, asyncio.Future[Any]]) -> None:
    """The session is over: nobody waits for an answer for ever."""
    for future in futures.values():
        if not future.done():
            future.set_exception(ConnectionError("The API session ended before the answer came"))
            future.exception()  # told, where nobody awaits it: the request itself has raised
    futures.clear()
