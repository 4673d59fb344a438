"""Restores subscriptions after a loss: their objects in the library's maps, and the streams at the gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ibkr.core.codes import Reaction, is_for_now, is_warning, reaction
from ibkr.core.facts import Key, WatchedStream
from ibkr.core.ledger import Ledger, Standing
from ibkr.core.policy import Policy
from ibkr.core.rhythm import patience_for
from ibkr.core.state import Feed
from ibkr.session.library import Library
from ibkr.session.library.decoder import merge
from ibkr.session.sender import Sender, Sending
from ibkr.session.subscriptions import bars
from ibkr.session.subscriptions.kinds import ANSWERS
from ibkr.session.subscriptions.registry import Registry
from ibkr.session.subscriptions.requests import Requests
from ibkr.session.subscriptions.subscription import AfterGap, Subscription

logger = logging.getLogger("ibkr.session")

_FOR_MEDIAN = 64
_BUST = 10225


class SubscriptionManager:
    """The same for every kind. ``on_moved`` is called when the standing of a subscription has changed."""

    def __init__(self, library: Library, sender: Sender, policy: Policy, on_moved: Callable[[], None]) -> None:
        self._library = library
        self._client, self._wrapper, self._decoder = library.client, library.wrapper, library.decoder
        self._sender = sender
        self._policy = policy
        self._on_moved = on_moved
        self._registry = Registry(library.wrapper, max(_FOR_MEDIAN, policy.stream_ticks))
        self._retired: dict[Key, frozenset[int]] = {}
        self._is_sending = False
        self.requests = Requests(library, self._registry, self._send, self._end_at_gateway, on_moved)

    @property
    def ledger(self) -> Ledger:
        """The standing of each subscription."""
        return self._registry.ledger

    @property
    def is_wanted(self) -> bool:
        """Whether what is asked for is recorded, with or without a session."""
        return self.requests.is_wanted

    @property
    def has_to_restore(self) -> bool:
        """Whether ``restore`` would send anything."""
        return bool(self._registry.active) or self.requests.data_type_differs

    def begin(self) -> None:
        """An attempt begins: what is asked for from now on is recorded."""
        self.requests.is_wanted = True
        self.requests.is_open = False

    def session_opened(self) -> None:
        """The gateway has said which ids are free. Start-up follows, then ``restore``."""
        self.requests.session_opened()
        self._sweep()

    def before_reset(self) -> None:
        """Who awaits an answer gets an error; if it was the first one, nobody will ever hold its object."""
        for key, _ in self._registry:
            if key in self._wrapper.futures:
                self._registry.forget(key)
        fail_all(self._wrapper.futures)

    def after_reset(self) -> None:
        """The gateway knows none of it any more; the library has emptied its maps, they are filled again."""
        self._listen(())
        self._retired.clear()
        self.ledger.unsend()
        for key, _ in self._registry:
            self._registry.clear_heard(key)
        self._registry.reinsert()

    def restore(self, *, same_session: bool) -> None:
        """Ask for everything again that is not running.

        In a new session each keeps its request id, unless it was given before any gateway had said which are free. On
        a live socket the id may still be taken at the gateway: each is cancelled and asked for under a fresh one.
        """
        for key, sub in self._registry:
            sub.filled = None
            if sub.is_early or (same_session and self.ledger.is_asked(key)):
                self._move(key)
        if same_session:
            self.ledger.unsend()
            self.requests.forget_data_type()
        for key in self.ledger.ids(Standing.WANTED):
            try:
                self._send(key)
            except Exception as error:
                logger.exception("A subscription could not be asked for again; the others go on")
                self.ledger.refuse(key, repr(error))
        self.requests.use_data_type()

    def after_gap(self) -> AfterGap:
        """What has become of the subscriptions since ``restore``."""
        label = self.ledger.label
        filled = tuple((label(key), sub.filled) for key, sub in self._registry if sub.filled is not None)
        unfilled = tuple(label(key) for key, _ in self._registry if bars.is_awaited(self._wrapper, key))
        refused = tuple(stream.words for stream in self.ledger.refused)
        return AfterGap(self.ledger.restored, refused, filled, unfilled)

    def note_ticks(self, now: float) -> None:
        """A packet was read: its tickers have ticked."""
        every = self._registry.heard
        for ticker in self._wrapper.pendingTickers:
            heard = every.get(id(ticker))
            if heard is not None:
                heard.append(now)

    def age(self, obj: object, now: float) -> float | None:
        """Seconds since the last message about this object in this session; None before one."""
        heard = self._registry.heard.get(id(obj))
        return now - heard[-1] if heard else None

    def used_to_tick(self, feed: Feed | None, trouble_since: float) -> tuple[WatchedStream, ...]:
        """The streams of this feed (None: of all) that ticked before the trouble, and how long each may be silent."""
        found = []
        for key, sub in self._registry:
            if sub.kind.is_watched and feed in (None, sub.kind.feed):
                patience = patience_for(sub.heard, trouble_since, self._policy)
                if patience is not None:
                    found.append(WatchedStream(key, patience))
        return tuple(found)

    def ask_again(self, keys: tuple[Key, ...], unless_since: float | None) -> None:
        """Ask for these anew under fresh ids, but not for what the caller has cancelled or what has ticked since."""
        for key in keys:
            sub = self._registry.active.get(key)
            if sub is None or (unless_since is not None and sub.heard and sub.heard[-1] > unless_since):
                continue
            logger.info("Asking again for %s: it had stopped", self.ledger.label(key))
            self._send(self._move(key))
        self.requests.use_data_type()

    def release(self) -> None:
        """Nothing is wanted any more. The streams end, and whoever awaits an answer gets an error."""
        self._listen(())
        if not self._client.isReady():
            self._sweep()
        self.requests.release()
        for key, sub in self._registry:
            if hasattr(sub.obj, "updateEvent"):
                sub.obj.updateEvent.set_done()
            self._registry.forget_fully(key)
        fail_all(self._wrapper.futures)
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
            self._registry.forget_fully(req_id)

    def _sweep(self) -> None:
        """While there was no session, all other requests have raised: nobody waits for what the library noted."""
        wrapper = self._wrapper
        for key in [key for key in wrapper.futures if key not in self._registry.active]:
            wrapper.futures[key].cancel()
            wrapper.forget(key)

    def _ended(self, req_id: int, code: int, text: str, tell: Callable[[], None]) -> None:
        has_ended = self.ledger.end(req_id, text, code)
        try:
            if has_ended and code == _BUST:  # the library would ask for bars again itself, beside us
                self._library.ib.errorEvent.emit(req_id, code, text, self._wrapper.contracts.get(req_id))
            else:
                tell()
        finally:
            if has_ended:
                self._moved()

    def _send(self, key: Key) -> None:
        sub = self._registry.active[key]
        if sub.kind.has_data_type:
            self.requests.use_data_type(sub)
        self.ledger.queued(key)
        self._listen(self.ledger.awaited)
        self._is_sending = True
        try:
            with self._sender.telling(Sending(partial(self._left, key, sub))):
                self.requests.send(key, sub, sub.kind.prepare(self._library, key, sub))
        finally:
            self._is_sending = False

    def _left(self, key: Key, sub: Subscription) -> None:
        """The request has left, at once or after a wait; only the end of a wait is news."""
        if not self.ledger.sent(key):
            return
        if not sub.kind.answers:
            self.ledger.live(key)
        if not self._is_sending and not self.ledger.held_back:
            self._on_moved()

    def _move(self, old: Key) -> Key:
        """Go on under a fresh id, the one returned."""
        sub = self._registry.active[old]
        self._registry.clear_heard(old)
        sub.is_early = False
        if not sub.kind.has_id:  # asked for again, it takes the place of itself
            return old
        if self.ledger.is_asked(old):
            self._end_at_gateway(old, sub)
        if sub.kind.keeps_id:
            return old
        new: int = self._client.getReqId()
        self._registry.move(old, new)
        return new

    def _end_at_gateway(self, key: Key, sub: Subscription) -> None:
        """Cancel what goes on under another id; the gateway may have forgotten it, and that is no error."""
        self._retired[key] = sub.kind.gone
        self.requests.cancel(key, sub)

    def message_seen(self, key: Key, *, is_data: bool) -> None:
        """A message for this subscription is about to be read."""
        is_live = self.ledger.live(key)
        if (is_data and self.ledger.ticked(key)) or is_live:
            self._moved()

    def object_updated(self, key: Key) -> None:
        """The library has written a message into its object."""
        sub = self._registry.active.get(key)
        if sub is not None:
            sub.heard.append(asyncio.get_running_loop().time())
            sub.kind.answered(self._library, key, sub)

    def _moved(self) -> None:
        self._listen(self.ledger.awaited)
        self._on_moved()

    def _listen(self, kinds: Iterable[str]) -> None:
        """Have the messages of these kinds looked at: only while a first message, or a next tick, is awaited."""
        self._decoder.watch(merge((kind, ANSWERS[kind]) for kind in kinds))


def fail_all(futures: dict[Any, asyncio.Future[Any]]) -> None:
    """The session is over: every request that still waits for an answer ends with an error."""
    for future in futures.values():
        if not future.done():
            future.set_exception(ConnectionError("The API session ended before the answer came"))
            future.exception()  # told, where nobody awaits it: the request itself has raised
    futures.clear()
