"""The design's rules for single streams: streams that the gateway has ended, and streams that are watched."""

from __future__ import annotations

from typing import Any

from ibkr.core import effects as do
from ibkr.core import events as event_of
from ibkr.core.effects import Effect
from ibkr.core.events import Event, LostStream, Timer
from ibkr.core.states import Feed

from .gateway_model import BACK, DOWN, EPSILON, FARM, Link, listed, named

FEEDS = {"usfarm": Feed.MARKET, "usfarm.nj": Feed.MARKET, "ushmds": Feed.HISTORY, "secdefnj": Feed.DEFINITIONS}


class StreamOracle:
    """The streams of one session."""

    def __init__(self, rig: Any, link: Link) -> None:
        self.rig, self.link = rig, link
        self.ended: tuple[LostStream, ...] = ()
        self.others: tuple[LostStream, ...] = ()
        self.asked_at: float | None = None
        self.watched: dict[tuple[int | str, str], tuple[float, float]] = {}
        self.down_since: float | None = None
        self.broken_since: dict[str, float] = {}

    def take(self, event: Event, in_session: bool) -> list[do.FindActiveStreams]:
        """Process an event that the link has already processed. Notes the watches that must follow."""
        match event:
            case event_of.FarmStatusReceived(_, notices):
                told = [(FARM[code], named(text)) for code, text in notices]
                return [watch for state, farm in told if farm for watch in self._farm(state, farm)]
            case event_of.CodeReceived(_, code, text) if code in (*DOWN, *BACK):
                return self._upstream(code, text)
            case event_of.SubscriptionsChanged(refused=refused, ended=ended, withheld=withheld, silent=silent) if (
                in_session
            ):
                self.ended, self.others = ended, (*refused, *withheld, *silent)
            case event_of.ActiveStreamsFound(_, farm, streams) if in_session and self._is_up(farm):
                for each in streams:
                    self.watched[each.req_id, farm] = (self.rig.mono, self.rig.mono + each.patience)
        return []

    def _is_up(self, farm: str) -> bool:
        return self.link.upstream != "down" and not self.link.restore_due and self.link.farms.get(farm) != "broken"

    def _upstream(self, code: int, text: str) -> list[do.FindActiveStreams]:
        now = self.rig.mono
        if code in DOWN:
            self.down_since = now if self.down_since is None else self.down_since
            self.watched.clear()
            return []
        since, self.down_since = self.down_since, None
        farms, was_broken = listed(text), self.broken_since
        broken = {farm: was_broken[farm] for farm, state in farms.items() if state == "ok" and farm in was_broken}
        if farms:
            lost = [farm for farm, state in farms.items() if state == "broken"]
            self.broken_since = {farm: was_broken.get(farm, now if since is None else since) for farm in lost}
            self.watched = {key: each for key, each in self.watched.items() if key[1] not in lost}
        if code == 1101:
            self.ended = ()
            self.watched.clear()
        if code == 1101 or self.link.restore_due:
            return []
        attempt, back = self.rig.attempt, [farm for farm in broken if FEEDS[farm] is not Feed.DEFINITIONS]
        watches = [do.FindActiveStreams(attempt, FEEDS[farm], broken[farm], farm) for farm in back]
        return [*watches, do.FindActiveStreams(attempt, None, now if since is None else since, "")]

    def _farm(self, state: str, farm: str) -> list[do.FindActiveStreams]:
        if state == "broken":
            self.broken_since.setdefault(farm, self.rig.mono)
            self.watched = {key: each for key, each in self.watched.items() if key[1] != farm}
        since = self.broken_since.pop(farm, None) if state == "ok" else None
        if since is None or self.link.restore_due or FEEDS[farm] is Feed.DEFINITIONS:
            return []
        return [do.FindActiveStreams(self.rig.attempt, FEEDS[farm], since, farm)]

    def follow(self, effect: Effect) -> None:
        """Process an effect. Streams may be requested only if there is a reason and if the request can succeed."""
        if not isinstance(effect, do.RequestStreams):
            return
        now, policy = self.rig.mono, self.rig.policy
        assert self.link.upstream != "down", "asked for with no link to IB"
        if effect.unless_since is None:
            assert not self.link.restore_due, "asked for twice"
            lost = {stream.req_id: stream for stream in (*self.ended, *self.others)}
            assert set(effect.req_ids) <= lost.keys()
            assert all(now >= lost[req_id].earliest for req_id in effect.req_ids), "sooner than IB allows"
            assert self.asked_at in (None, now) or now - self.asked_at >= policy.stream_pause - EPSILON
            self.ended = tuple(stream for stream in self.ended if stream.req_id not in effect.req_ids)
            self.asked_at = now
        else:
            (req_id,) = effect.req_ids
            reasons = [self.watched.pop(key) for key in [key for key in self.watched if key[0] == req_id]]
            assert any(since == effect.unless_since and now >= due - EPSILON for since, due in reasons), "too early"

    def check(self) -> None:
        """No stream waits without limit, and no timer runs without a stream."""
        timers, now = self.rig.timers, self.rig.mono
        is_up = self.link.upstream != "down" and not self.link.restore_due and Timer.RESYNC not in timers
        if (self.ended or self.others) and is_up:
            assert timers[Timer.STREAMS] <= now + 700
        assert (Timer.WATCH in timers) == bool(self.watched)
        if self.watched:
            next_due = min(due for _, due in self.watched.values())
            assert next_due - EPSILON <= timers[Timer.WATCH] <= max(next_due, now) + EPSILON
