"""Restores subscriptions after a loss: the objects in the library's maps, and the streams at the gateway.

This file has over 300 lines because all ways to lose and to restore a stream meet here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any

from ibkr.core.codes import Reaction, is_temporary_refusal, is_warning, reaction
from ibkr.core.deadline_settings import OneShotRequest
from ibkr.core.events import ActiveStream, Key
from ibkr.core.policy import Policy
from ibkr.core.silence_limit import silence_limit
from ibkr.core.startup_requests import ACCOUNT_UPDATES
from ibkr.core.states import Feed
from ibkr.core.subscription_info import SubscriptionStatus
from ibkr.core.subscription_tracker import SubscriptionStage, SubscriptionTracker
from ibkr.session.library import Library
from ibkr.session.library.decoder import message_table
from ibkr.session.sender import Sender, SendOptions
from ibkr.session.subscriptions import bar_backfill
from ibkr.session.subscriptions.kinds import ANSWERS, BY_REQUEST
from ibkr.session.subscriptions.registry import SubscriptionRegistry
from ibkr.session.subscriptions.subscription import AfterGap, Subscription
from ibkr.session.subscriptions.subscription_requests import SubscriptionRequests

logger = logging.getLogger("ibkr.session")

_TIMES_FOR_MEDIAN = 64
_BARS_FAILED = 10225
LOST_UPDATES, REFUSED_UPDATES = 2100, 2101
"""Codes about account updates. They name no request."""
_MOST_OLD_IDS = 5000


class SubscriptionManager:
    """Manages subscriptions of every kind.

    ``on_changed`` is called when the state of a subscription has changed. If a caller awaits the first answer of a
    subscription, ``on_awaited_sent`` is called with its key and its request when the request was sent.
    """

    def __init__(
        self,
        library: Library,
        sender: Sender,
        policy: Policy,
        on_changed: Callable[[], None],
        on_awaited_sent: Callable[[Key, str], None],
    ) -> None:
        self._library = library
        self._client, self._wrapper, self._decoder = library.client, library.wrapper, library.decoder
        self._sender = sender
        self._policy = policy
        self._on_changed, self._on_awaited_sent = on_changed, on_awaited_sent
        self._registry = SubscriptionRegistry(library.wrapper, max(_TIMES_FOR_MEDIAN, policy.stream_ticks))
        self._old_ids: dict[Key, frozenset[int]] = {}
        self._silent: set[Key] = set()
        self._is_sending = False
        self.requests = SubscriptionRequests(library, self._registry, self._send, self._cancel_at_gateway, on_changed)

    @property
    def tracker(self) -> SubscriptionTracker:
        """The state of each subscription."""
        return self._registry.tracker

    @property
    def is_wanted(self) -> bool:
        """Whether requests are recorded, with or without a session."""
        return self.requests.is_wanted

    @property
    def has_to_restore(self) -> bool:
        """Whether ``restore`` would send anything."""
        return bool(self._registry.active) or self.requests.data_type_differs

    @property
    def has_handlers_to_restore(self) -> bool:
        """Whether handlers of ``connectedEvent`` have requested some of these subscriptions."""
        return any(sub.requested_on_connect is not None for _, sub in self._registry)

    def statuses(self, now: float, keys: Iterable[Key]) -> tuple[SubscriptionStatus, ...]:
        """The status of these subscriptions."""
        return tuple(self._status(key, now) for key in keys if key in self._registry.active)

    def all_statuses(self, now: float) -> tuple[SubscriptionStatus, ...]:
        """The status of all subscriptions, in the order in which they were requested."""
        return self.statuses(now, self.tracker.ids())

    def _status(self, key: Key, now: float) -> SubscriptionStatus:
        entry, message_times = self.tracker[key], self._registry.active[key].message_times
        age = max(0.0, now - message_times[-1]) if message_times else None
        return SubscriptionStatus(entry.kind, entry.label, entry.state, age, entry.error, entry.code)

    def begin(self) -> None:
        """An attempt begins: record requests from now on."""
        self.requests.is_wanted = True
        self.requests.is_open = False

    def session_opened(self) -> None:
        """The gateway has sent the next valid id. Start-up follows, then ``restore``."""
        self.requests.session_opened()
        self._cancel_orphans()

    def sent_request(self, key: Hashable) -> str:
        """The request of the stream with this key, if it was sent and no message has come. Otherwise an empty text."""
        if not isinstance(key, int) or key not in self._registry.active:
            return ""
        return self._registry.active[key].kind.request if self.tracker[key].stage is SubscriptionStage.SENT else ""

    def before_reset(self) -> None:
        """End pending requests with an error, because the session is over.

        A subscription whose first answer is still awaited is dropped.
        """
        for key, _ in self._registry:
            if key in self._wrapper.futures:
                self._registry.forget(key)
        fail_all(self._wrapper.futures)

    def after_reset(self) -> None:
        """Fill the library's maps again: it has cleared them, and the gateway no longer has any subscriptions."""
        self._watch_messages(())
        self._old_ids.clear()
        self.tracker.mark_all_unsent()
        self._silent.clear()
        for key, sub in self._registry:
            self._remember_max_silence(key, sub)
            self._registry.clear_message_times(key)
        self._registry.reinsert()

    def restore(self, *, same_session: bool, with_handlers: bool) -> None:
        """Request every subscription that is not running. Include subscriptions of handlers only if ``with_handlers``.

        In a new session, each subscription keeps its request id, unless it got the id before the first session. On a
        live socket, the gateway may still use the id, so each subscription is cancelled and gets a new id.
        """
        for key, sub in self._registry:
            if sub.is_early or (same_session and self.tracker.is_asked(key)):
                sub.filled = None
                self._move(key)
        if same_session:
            self.tracker.mark_all_unsent(new_session=False)
            self.requests.forget_data_type()
        for key in self.tracker.ids(SubscriptionStage.WANTED):
            sub = self._registry.active[key]
            if with_handlers or sub.requested_on_connect is None:
                sub.filled = None
                self._send_again(key)
        self.requests.use_data_type()

    def after_gap(self) -> AfterGap:
        """Return what happened to the subscriptions since ``restore``."""
        label = self.tracker.label
        filled = tuple((label(key), sub.filled) for key, sub in self._registry if sub.filled)
        unfilled = tuple(label(key) for key, _ in self._registry if bar_backfill.is_pending(self._wrapper, key))
        refused = tuple(stream.words for stream in self.tracker.refused)
        return AfterGap(self.tracker.restored, refused, filled, unfilled)

    def record_ticks(self, now: float) -> None:
        """Record the time of the messages that were read, for the tickers that have changed."""
        self._registry.record_tickers(self._wrapper.pendingTickers, now)
        if self._silent:
            self._check_silent()

    def age(self, obj: object, now: float) -> float | None:
        """Seconds since the last message about this object in this session, or ``None``."""
        last = self._registry.last_message(obj)
        return None if last is None else now - last

    def streams_that_ticked(self, feed: Feed | None, trouble_since: float) -> tuple[ActiveStream, ...]:
        """The streams that ticked before the loss of upstream or a farm, and how long each may be silent.

        ``None`` means all feeds.
        """
        found = []
        for key, sub in self._registry:
            if sub.kind.feed is not None and feed in (None, sub.kind.feed):
                max_silence = self._max_silence_of(key, sub, trouble_since)
                if max_silence is not None:
                    found.append(ActiveStream(key, max_silence))
        return tuple(found)

    def request_again(
        self, keys: tuple[Key, ...], unless_since: float | None, *, anew: bool
    ) -> tuple[ActiveStream, ...]:
        """Request these streams with new ids, except streams that were cancelled or ticked after ``unless_since``.

        Returns the streams that should tick now, and how long each may be silent.
        """
        tracker, expected = self.tracker, []
        for key in keys:
            sub = self._registry.active.get(key)
            if sub is None or (unless_since is not None and sub.message_times and sub.message_times[-1] > unless_since):
                continue
            if tracker.accept(key) and unless_since is None:
                continue
            if unless_since is not None:
                if not tracker.is_asked(key) or tracker[key].is_silent:
                    continue  # it is being requested anyway
                tracker.silence(key, self._max_silence_of(key, sub, unless_since) or self._policy.stream_silence)
            if anew:
                tracker.reset_tries(key)
            logger.debug("Requesting %s again, because it does not stream", tracker.label(key))
            new = self._move(key)
            if sub.kind.feed is not None and sub.max_silence is not None and not tracker[new].is_silent:
                expected.append(ActiveStream(new, sub.max_silence))
            self._send_again(new)
        self._silent = {stream.req_id for stream in tracker.silent}
        self.requests.use_data_type()
        return tuple(expected)

    def _max_silence_of(self, key: Key, sub: Subscription, trouble_since: float) -> float | None:
        """How long the stream may be silent, judged by its earlier ticks. ``None`` if that is unknown."""
        max_silence = silence_limit(sub.message_times, trouble_since, self._policy)
        is_new = trouble_since - self.tracker[key].asked_at < self._policy.stream_history
        # A few ticks right after the request show nothing. A few ticks in a longer time show that the stream now ticks
        # rarely.
        return sub.max_silence if max_silence is None and (is_new or not sub.message_times) else max_silence

    def _check_silent(self) -> None:
        """Check whether one of the silent streams ticks again."""
        active = self._registry.active
        ticks = [key for key in self._silent if key in active and active[key].message_times]
        self._silent.difference_update(ticks)
        self._silent &= active.keys()
        if any([self.tracker.ticked(key) for key in ticks]):
            self._changed()

    def abandon_request(self, key: Hashable, request: OneShotRequest, is_awaited: bool) -> None:
        """Remove an overdue request from the library's maps, and ignore a late answer to it."""
        wrapper, registry = self._wrapper, self._registry
        wrapper.forget(key)
        if not isinstance(key, int):
            self._wrapper.end_request(key)  # notify all callers that share the request
            return
        sub = registry.active.get(key)
        if sub is not None and not request.cancel:  # the stream continues; only its first answer is late
            return
        self._decoder.ignore_late_answer(key)
        if sub is not None:  # the program never received the subscription's object
            registry.forget_completely(key)
        elif request.kind == "snapshot":
            kind = BY_REQUEST["reqMktData"]
            once = Subscription(kind, kind.library_map.find(wrapper, key), {}, 0)
            kind.library_map.remove(wrapper, key, once)
            kind.library_map.forget_object(wrapper, key, once)
        # The library itself cancels bars that nobody awaits.
        if request.cancel and self._client.isReady() and not (is_awaited and request.name == "reqHistoricalData"):
            getattr(self._client, request.cancel)(key)

    def release(self) -> None:
        """End the streams, and end pending requests with an error. A connection is no longer requested."""
        self._watch_messages(())
        if not self._client.isReady():
            self._cancel_orphans()
        self.requests.release()
        for key, sub in self._registry:
            if hasattr(sub.obj, "updateEvent"):
                sub.obj.updateEvent.set_done()
            self._registry.forget_completely(key)
        fail_all(self._wrapper.futures)
        self._old_ids.clear()

    def error_received(self, req_id: int, code: int, text: str, pass_on: Callable[[], None]) -> None:
        """Handle an error. Pass it to the library with ``pass_on``, unless it is about an id that we have cancelled."""
        if code in self._old_ids.get(req_id, ()):
            return  # this error is expected: after 1101 the gateway has dropped the old id, and we have cancelled it
        tracker, what, for_now = self.tracker, reaction(code), is_temporary_refusal(code, text)
        sub = self._registry.active.get(req_id)
        if sub is not None and sub.kind.has_data_type and not (sub.message_times or sub.has_ticked or is_warning(code)):
            tracker.doubt_first(req_id)
        if what is Reaction.STREAM_ENDED or (not is_warning(code) and tracker.is_live(req_id)):
            self._ended(req_id, code, text, pass_on)
            return
        if what is Reaction.STREAM_WITHHELD and tracker.withhold(req_id, text, code):
            self._changed()
        is_refused = not is_warning(code) and tracker.refuse(
            req_id, text, code, for_now=for_now, now=self._library.reader.now()
        )
        if is_refused:
            self._silent.discard(req_id)
            self._changed()
        pass_on()  # a listener may cancel the subscription or request it again
        if is_refused:
            self._forget_dropped(req_id)

    def account_updates_lost(self, code: int, text: str) -> bool:
        """The gateway does not stream account updates (2101), or has stopped streaming them (2100).

        Returns False if nobody requested account updates.

        If the program requests another account, this ends the updates of the first account. Then 2100 is expected.
        """
        if ACCOUNT_UPDATES not in self.tracker:
            return False
        if code == LOST_UPDATES:
            has_changed = (
                self.tracker.end(ACCOUNT_UPDATES, text, code, now=self._library.reader.now())
                if self.tracker.is_live(ACCOUNT_UPDATES)
                else False
            )
        else:
            has_changed = self.tracker.refuse(ACCOUNT_UPDATES, text, code, for_now=True)
        if has_changed:
            self._changed()
        return True

    def _cancel_orphans(self) -> None:
        """Remove requests that the library stored while there was no session.

        Their callers got an error, so nobody waits for an answer.
        """
        wrapper = self._wrapper
        for key in [key for key in wrapper.futures if key not in self._registry.active]:
            wrapper.futures[key].cancel()
            wrapper.forget(key)

    def _ended(self, req_id: int, code: int, text: str, pass_on: Callable[[], None]) -> None:
        sub = self._registry.active.get(req_id)
        has_ticked = sub is not None and bool(sub.message_times)
        has_ended = self.tracker.end(req_id, text, code, has_ticked=has_ticked, now=self._library.reader.now())
        try:
            if code == _BARS_FAILED:  # otherwise the library would request the bars again
                self._library.ib.errorEvent.emit(req_id, code, text, self._wrapper.contracts.get(req_id))
            else:
                pass_on()
        finally:
            if has_ended:
                self._changed()

    def _send_again(self, key: Key) -> None:
        """Request a subscription again. If that fails, mark it as refused; the others continue."""
        try:
            self._send(key)
        except Exception as error:
            if self.tracker[key].cause != repr(error):
                logger.exception(
                    "%s could not be requested again; the other subscriptions continue", self.tracker.label(key)
                )
            self.tracker.refuse(key, repr(error))
            self._forget_dropped(key)

    def _forget_dropped(self, key: Key) -> None:
        """If the subscription was refused for good, remove it from the library's maps, too."""
        if key not in self.tracker:
            self._registry.forget_completely(key)

    def _send(self, key: Key) -> None:
        sub = self._registry.active[key]
        if sub.kind.has_data_type:
            self.requests.use_data_type(sub)
        self.tracker.queued(key, self._library.reader.now())
        self._watch_messages(self.tracker.awaited)
        self._is_sending = True
        try:
            with self._sender.sending_as(SendOptions(partial(self._message_sent, key, sub))):
                self.requests.send(key, sub, sub.kind.prepare(self._library, key, sub))
        finally:
            self._is_sending = False

    def _message_sent(self, key: Key, sub: Subscription) -> None:
        """Store that the request was sent, immediately or after a wait. Report only the end of a wait."""
        if not self.tracker.sent(key):
            return
        if key in self._wrapper.futures and not sub.has_own_timeout:
            self._on_awaited_sent(key, sub.kind.request)
        if not sub.kind.answers:
            self.tracker.live(key)
        if not self._is_sending and not self.tracker.held_back:
            self._on_changed()

    def _move(self, old: Key) -> Key:
        """Move the subscription to a new id, and return the new id."""
        sub = self._registry.active[old]
        self._remember_max_silence(old, sub)
        self._registry.clear_message_times(old)
        sub.is_early = False
        if not sub.kind.has_id:  # a repeated request replaces the earlier one
            return old
        if self.tracker.is_asked(old):
            self._cancel_at_gateway(old, sub)
        if sub.kind.keeps_id:
            return old
        new: int = self._client.getReqId()
        self._registry.move(old, new)
        return new

    def _remember_max_silence(self, key: Key, sub: Subscription) -> None:
        """Remember how long a subscription may be silent, before its message times are cleared."""
        if sub.message_times:
            sub.has_ticked = True
            sub.max_silence = self._max_silence_of(key, sub, self._library.reader.now())

    def _cancel_at_gateway(self, key: Key, sub: Subscription) -> None:
        """Cancel a stream that continues with another id. If the gateway has already dropped it, ignore the error."""
        self._old_ids[key] = sub.kind.not_found_codes
        if len(self._old_ids) > _MOST_OLD_IDS:
            del self._old_ids[next(iter(self._old_ids))]
        self.requests.cancel(key, sub)

    def message_seen(self, key: Key, *, is_data: bool) -> None:
        """A message for this subscription is about to be read."""
        is_live = self.tracker.live(key)
        if (is_data and self.tracker.ticked(key)) or is_live:
            self._changed()

    def object_updated(self, key: Key) -> None:
        """Handle that the library has written a message into the object of a subscription."""
        sub = self._registry.active.get(key)
        if sub is not None:
            sub.message_times.append(self._library.reader.now())
            sub.kind.answered(self._library, key, sub)
            if key in self._silent:
                self._check_silent()

    def _changed(self) -> None:
        self._watch_messages(self.tracker.awaited)
        self._on_changed()

    def _watch_messages(self, kinds: Iterable[str]) -> None:
        """Watch the messages of these kinds, but only while a first message or a next tick is awaited."""
        self._decoder.watch(message_table((kind, ANSWERS[kind]) for kind in kinds))


def fail_all(futures: dict[Any, asyncio.Future[Any]]) -> None:
    """End every pending request with an error, because the session is over."""
    for future in futures.values():
        if not future.done():
            future.set_exception(ConnectionError("The API session ended before the answer arrived"))
            future.exception()  # mark as retrieved: maybe nobody awaits it, because the request itself has raised
    futures.clear()
