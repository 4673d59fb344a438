"""Each event in each gateway state, with each port state: what the restart policy decides, and what it must not do."""

from itertools import product

import pytest

from ibkr.core.gateway_status import GatewayState as S
from ibkr.core.gateway_tracker import ProcessEnded
from ibkr.core.restart_policy import Action, Observation, PortState

from .test_gateway_status import ANYWHERE, INTO, T0, tracked
from .test_restart_policy import NOON, at, policy

DOWN = (PortState.REFUSED, PortState.SILENT)
ENDS = {
    0: False,
    1: True,
    137: True,
    143: False,
    1100: True,
    1103: False,
    1111: False,
    1112: True,
    127: True,
    None: False,
}
EVENTS = [*ANYWHERE, *(ProcessEnded(code) for code in ENDS)]


def may_act(tracker, link):
    """The rules of docs/gateway.md."""
    if tracker.second_factor or tracker.login_failed or tracker.state is S.STOPPED:
        return Action.NOTHING
    if tracker.state is S.EXITED:
        is_free = link in (*DOWN, PortState.UNKNOWN)  # otherwise, another gateway answers at the port
        return Action.START if ENDS[tracker.exit_code] and is_free else Action.NOTHING
    if link not in DOWN or not tracker.login_seen:
        return Action.NOTHING
    return Action.NOTHING if tracker.state is S.UNKNOWN_WINDOW and not tracker.is_logged_in else Action.KILL


@pytest.mark.parametrize("event", EVENTS, ids=repr)
@pytest.mark.parametrize("state", list(S))
def test_the_decision(state, event):
    """Long after every wait, at noon, outside every window."""
    tracker = tracked(*INTO[state])
    tracker.take(event, T0)
    for link, has_command_server in product(PortState, (False, True)):
        seen = Observation(
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
            has_command_server=has_command_server,
        )
        wanted = may_act(tracker, link)
        if has_command_server and wanted is Action.KILL:
            wanted = Action.RECONNECT_DATA  # the least disruptive step comes first
        assert policy().decide(seen, at(3 * 3600, NOON)).act is wanted, (link, has_command_server, seen)
