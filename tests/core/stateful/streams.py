"""What the design demands for single streams: those that the gateway ended, and those that are watched."""

from __future__ import annotations

from typing import Any

from ibkr.core import effects as do
from ibkr.core import facts as fact_of
from ibkr.core.effects import Effect
from ibkr.core.facts import EndedStream, Fact, Timer
from ibkr.core.state import Feed

from .gateway import BACK, DOWN, EPSILON, FARM, Link, listed, named

FEEDS = {"usfarm": Feed.MARKET, "usfarm.nj": Feed.MARKET, "ushmds": Feed.HISTORY, "secdefnj": Feed.DEFINITIONS}


class Streams:
    """The streams of one session."""

    def __init__(self, rig: Any, link: Link) -> None:
        self.rig, self.link = rig, link
        self.ended: tuple[EndedStream, ...] = ()
        self.asked_at: float | None = None
        self.watched: dict[tuple[int, str], tuple[float, float]] = {}
        self.down_since: float | None = None
        self.broken_since: dict[str, float] = {}

    def take(self, fact: Fact, in_session: bool) -> list[do.Watch]:
        """A fact, once the link has taken it; the watches that it must lead to."""
        match fact:
            case fact_of.FarmsTold(_, notices):
                told = [(FARM[code], named(text)) for code, text in notices]
                return [watch for state, farm in told if farm for watch in self._farm(state, farm)]
            case fact_of.CodeReceived(_, code, text) if code in (*DOWN, *BACK):
                return self._upstream(code, text)
            case fact_of.SubscriptionsMoved(ended=ended) if in_session:
                self.ended = ended
            case fact_of.StreamsWatched(_, farm, streams) if in_session and self._is_up(farm):
                for each in streams:
                    self.watched[each.req_id, farm] = (self.rig.mono, self.rig.mono + each.patience)
        return []

    def _is_up(self, farm: str) -> bool:
        return self.link.upstream != "down" and not self.link.restore_due and self.link.farms.get(farm) != "broken"

    def _upstream(self, code: int, text: str) -> list[do.Watch]:
        now = self.rig.mono
        if code in DOWN:
            self.down_since = now if self.down_since is None else self.down_since
            self.watched.clear()
            return []
        since, self.down_since = self.down_since, None
        broken = {farm: self.broken_since[farm] for farm in listed(text) if farm in self.broken_since}
        if listed(text):
            self.broken_since.clear()
        if code == 1101:
            self.ended = ()
            self.watched.clear()
        if code == 1101 or self.link.restore_due:
            return []
        attempt, farms = self.rig.attempt, [farm for farm in broken if FEEDS[farm] is not Feed.DEFINITIONS]
        watches = [do.Watch(attempt, FEEDS[farm], broken[farm], farm) for farm in farms]
        return [*watches, do.Watch(attempt, None, now if since is None else since, "")]

    def _farm(self, state: str, farm: str) -> list[do.Watch]:
        if state == "broken":
            self.broken_since.setdefault(farm, self.rig.mono)
            self.watched = {key: each for key, each in self.watched.items() if key[1] != farm}
        since = self.broken_since.pop(farm, None) if state == "ok" else None
        if since is None or self.link.restore_due or FEEDS[farm] is Feed.DEFINITIONS:
            return []
        return [do.Watch(self.rig.attempt, FEEDS[farm], since, farm)]

    def follow(self, effect: Effect) -> None:
        """An order; streams may be asked for only with reason, and not while that is of no use."""
        if not isinstance(effect, do.AskStreams):
            return
        now, policy = self.rig.mono, self.rig.policy
        assert self.link.upstream != "down", "asked for with no link to IB"
        assert not self.link.restore_due, "asked for twice"
        if effect.unless_since is None:
            assert effect.req_ids == tuple(stream.req_id for stream in self._flowing()) != ()
            assert self.asked_at is None or now - self.asked_at >= policy.stream_pause - EPSILON
            self.ended = tuple(stream for stream in self.ended if stream not in self._flowing())
            self.asked_at = now
        else:
            (req_id,) = effect.req_ids
            reasons = [self.watched.pop(key) for key in [key for key in self.watched if key[0] == req_id]]
            assert any(since == effect.unless_since and now >= due - EPSILON for since, due in reasons), "too early"

    def _flowing(self) -> list[EndedStream]:
        broken = {FEEDS[farm] for farm, state in self.link.farms.items() if state == "broken"}
        return [stream for stream in self.ended if stream.feed not in broken]

    def check(self) -> None:
        """Nothing waits for ever, and nothing runs for nothing."""
        timers, now, policy = self.rig.timers, self.rig.mono, self.rig.policy
        if self._flowing() and self.link.upstream != "down" and not self.link.restore_due:
            assert timers[Timer.STREAMS] <= self.asked_at + policy.stream_pause + EPSILON
        assert (Timer.WATCH in timers) == bool(self.watched)
        if self.watched:
            next_due = min(due for _, due in self.watched.values())
            assert next_due - EPSILON <= timers[Timer.WATCH] <= max(next_due, now) + EPSILON
