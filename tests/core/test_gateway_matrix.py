"""Each event in each state of the gateway, with each state of the port: what is decided, and what is forbidden."""

from itertools import product

import pytest

from ibkr.core.gateway import GatewayState as S
from ibkr.core.gateway_tracker import ProcessEnded
from ibkr.core.restart import Act, Link, Seen

from .test_gateway import ANYWHERE, INTO, T0, tracked
from .test_restart import NOON, at, policy

DOWN = (Link.REFUSED, Link.SILENT)
ENDS = {0: False, 1: True, 137: True, 143: False, 1100: True, 1103: False, 1111: False, 1112: True, None: True}
EVENTS = [*ANYWHERE, *(ProcessEnded(code) for code in ENDS)]


def may_act(tracker, link):
    """The rules, as docs/gateway.md tells them."""
    if tracker.second_factor or tracker.login_failed or tracker.state is S.STOPPED:
        return Act.NOTHING
    if tracker.state is S.EXITED:
        is_free = link in (*DOWN, Link.UNKNOWN)  # else another gateway answers there
        return Act.START if ENDS[tracker.exit_code] and is_free else Act.NOTHING
    if link not in DOWN or not tracker.login_seen:
        return Act.NOTHING
    return Act.NOTHING if tracker.state is S.UNKNOWN_WINDOW and not tracker.is_logged_in else Act.KILL


@pytest.mark.parametrize("event", EVENTS, ids=repr)
@pytest.mark.parametrize("state", list(S))
def test_the_decision(state, event):
    """Long after every wait, at noon, outside of every window."""
    tracker = tracked(*INTO[state])
    tracker.take(event, T0)
    for link, has_commands in product(Link, (False, True)):
        seen = Seen(
            tracker.state,
            link,
            0.0,
            0.0,
            tracker.exit_code,
            tracker.sees_login and tracker.login_seen,
            tracker.is_logged_in,
            tracker.login_failed,
            tracker.second_factor,
            tracker.logged_in_at,
            has_commands=has_commands,
        )
        wanted = may_act(tracker, link)
        if has_commands and wanted is Act.KILL:
            wanted = Act.RECONNECT_DATA  # the mildest step comes first
        assert policy().decide(seen, at(3 * 3600, NOON)).act is wanted, (link, has_commands, seen)
