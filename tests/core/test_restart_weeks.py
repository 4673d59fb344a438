"""The restart policy through weeks of random problems, with changes of daylight saving time."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ibkr.core.gateway_status import GatewayState as S
from ibkr.core.restart_policy import RESTARTS, Action, PortState, restart_delay

from .test_restart_policy import AMERICA, BERLIN, HUNG, at, policy, seen

STEPS = st.lists(
    st.tuples(
        st.sampled_from([30.0, 240.0, 900.0, 4000.0, 30_000.0]),
        st.sampled_from(["hang", "back", "1100", "second factor", "approved", "refused", "end", "timed out", "1st"]),
        st.booleans(),
    ),
    min_size=5,
    max_size=60,
)
STARTS = (
    datetime(2026, 3, 4, 18, 0, tzinfo=UTC),  # New York's clocks go forward on the 8th, Berlin's on the 29th
    datetime(2026, 3, 27, 18, 0, tzinfo=UTC),
    datetime(2026, 10, 23, 18, 0, tzinfo=UTC),  # Berlin's clocks go back on 25 October, New York's on 1 November
    datetime(2026, 10, 30, 18, 0, tzinfo=UTC),
)


class World:
    """A gateway during weeks with many problems. It carries out and records what the policy decides."""

    def __init__(self, start, settings):
        self.start, self.mono = start, 0.0
        self.asked = policy(**settings)
        self.now = HUNG
        self.set(link=PortState.UP)
        self.done = []

    def set(self, **changes):
        if "link" in changes:
            changes["link_since"] = self.mono
        self.now = seen(self.now, **changes)

    def happens(self, what):
        link = {
            "hang": PortState.SILENT,
            "back": PortState.UP,
            "1100": PortState.UPSTREAM_DOWN,
            "refused": PortState.REFUSED,
        }.get(what)
        if link is not None:
            self.set(link=link)
        elif what == "second factor":
            self.set(state=S.NEEDS_SECOND_FACTOR, second_factor=True, is_logged_in=False, link=PortState.REFUSED)
        elif what == "approved":
            wall = at(self.mono, self.start).wall
            self.set(state=S.RUNNING, second_factor=False, is_logged_in=True, logged_in_at=wall, exit_code=None)
        elif what == "1st":
            self.set(has_command_server=not self.now.has_command_server)
        else:
            self.set(state=S.EXITED, exit_code=1 if what == "end" else 1111, link=PortState.REFUSED, is_logged_in=False)

    def pass_time(self, seconds):
        end = self.mono + seconds
        while self.mono < end:
            self.mono = min(end, self.mono + max(30.0, seconds / 20))
            now = at(self.mono, self.start)
            act = self.asked.decide(self.now, now).act
            if act is Action.NOTHING:
                continue
            full_login = self.asked.needs_login(act, self.now, now)
            self.done.append((now, act, full_login, self.now))
            self.asked.done(act, full_login=full_login, now=now)
            if act in RESTARTS:
                self.set(
                    started=self.mono,
                    state=S.RESTARTING if act is not Action.START else S.STARTING,
                    exit_code=None,
                )


@given(STEPS, st.sampled_from(STARTS), st.sampled_from([{}, {"restart_limit": 9, "restart_wait": 60.0}]))
def test_weeks_of_random_trouble(steps, start, settings):
    world = World(start, settings)
    chosen = world.asked.settings
    for seconds, what, waits in steps:
        world.happens(what)
        world.pass_time(seconds if waits else 30.0)
    for now, _, _, what in world.done:
        assert not what.second_factor
        assert what.exit_code != 1111
        assert what.link in (PortState.REFUSED, PortState.SILENT)
        assert AMERICA.window_at(now.wall)[0] is None
        assert now.mono - what.started >= chosen.start_grace
        assert what.state is S.EXITED or now.mono - what.link_since >= chosen.restart_after / 3
    restarts = [(now, full) for now, act, full, _ in world.done if act in RESTARTS]
    for (before, _), (after, _) in pairwise(restarts):
        assert after.mono - before.mono >= chosen.restart_wait
    for now, _ in restarts:
        day = [each for each, _ in restarts if timedelta() <= now.wall - each.wall < timedelta(days=1)]
        assert len(day) <= chosen.restart_limit
        if len(day) > 1:
            assert (day[-1].wall - day[-2].wall).total_seconds() >= restart_delay(len(day) - 1, chosen)
    nights = [night(now.wall) for now, full in restarts if full and night(now.wall)]
    assert len(nights) == len(set(nights))


def night(wall):
    """The evening before the night from 20:00 to 08:00 in Berlin."""
    local = wall.astimezone(BERLIN).replace(tzinfo=None)
    return None if 8 <= local.hour < 20 else (local - timedelta(hours=8)).date()
