"""Every state of a gateway or of another server: the first finding names the state and its cure.

A few processes run at a time, because most of them wait most of the time.
"""

import concurrent.futures
from dataclasses import dataclass
from functools import partial

import pytest

AT_ONCE = 4
WORST = 15.0
"""Seconds that a run may take in any of these states."""
AFTER = {
    # The checks that must be skipped once this check has failed.
    "port": {"peer", "handshake", "session", "accounts", "start-up", "market data", "exposure"},
    "peer": {"handshake", "session", "client id", "accounts", "upstream", "start-up", "latency"},
    "handshake": {"session", "client id", "accounts", "upstream", "start-up", "latency"},
    "session": {"client id", "accounts", "upstream", "farms", "start-up", "clock", "latency"},
    "upstream": {"farms", "start-up", "market data"},
    "start-up": {"read-only"},
}


@dataclass(frozen=True)
class State:
    """A server, by the name of its function in conftest; the first finding that is not "ok", and its cure."""

    peer: str
    check: str
    kind: str
    level: str
    says: str
    cure: str
    follows: tuple[str, ...] = ()
    """Further checks that may warn because of it."""


ASKS_TWS = "Start TWS or IB Gateway and log in"
OTHER_PROGRAM = "Another program listens at"
STATES = {
    "down": State("nobody", "port", "unreachable", "fail", "nothing listens", ASKS_TWS, follows=("usual ports",)),
    "silent": State("silent", "peer", "silent", "fail", "sends nothing for 5 s", "an unfinished login"),
    "http": State("web_server", "peer", "not_a_gateway", "fail", "a web server (HTTP)", OTHER_PROGRAM),
    "http at once": State("http", "peer", "not_a_gateway", "fail", "a web server (HTTP)", OTHER_PROGRAM),
    "tls": State("tls_server", "peer", "not_a_gateway", "fail", "wants TLS", OTHER_PROGRAM),
    "ssh": State("ssh", "peer", "not_a_gateway", "fail", "an SSH server", OTHER_PROGRAM),
    "garbage": State("garbage", "peer", "not_a_gateway", "fail", "does not speak the API", OTHER_PROGRAM),
    "forwarder": State("close_on_accept", "peer", "closed", "fail", "before it sends a byte", "a port forwarder"),
    "closed after startApi": State(
        "close_after_handshake", "session", "closed", "fail", "without an error code", "trusted IPs"
    ),
    "id taken": State(
        "occupy_client_id 1", "client id", "client_id_in_use", "fail", "client id 1 is in use", "its own id"
    ),
    "read-only": State("read_only", "read-only", "read_only", "warn", "the gateway refuses orders", "switch it off"),
    "old version": State(
        "old_version", "handshake", "unsupported_version", "fail", "protocol version 100", "Update TWS or IB Gateway"
    ),
    "no market data": State(
        "deny_market_data", "market data", "no_market_data", "warn", "none (354", "Subscribe to this exchange's data"
    ),
    "data not for the API": State(
        "deny_market_data 10089", "market data", "no_market_data", "warn", "none (10089", "delayed data"
    ),
    "logged in elsewhere": State(
        "competing_login", "market data", "competing_session", "warn", "withheld (10197)", "Log the other session out"
    ),
    "upstream down": State(
        "upstream_down_at_connect", "upstream", "upstream_down", "fail", "no link to IB", "recovers automatically"
    ),
    "farm broken": State(
        "break_farm usfarm", "farms", "farm_broken", "warn", "broken: usfarm (2103)", "Wait", follows=("market data",)
    ),
    "start-up request mute": State(
        "mute reqPositions", "start-up", "unanswered", "fail", "positions; answered: open orders", "restart the gateway"
    ),
    "slow": State("delay 0.3", "latency", "slow", "warn", "ms median", "on the same machine as the gateway"),
    "clock off": State("clock_off 300", "clock", "clock_off", "warn", "300 s ahead of ours", "NTP"),
    "clock behind": State("clock_off -300", "clock", "clock_off", "warn", "behind ours", "NTP"),
    "live account on a paper port": State(
        "live_on_a_paper_port", "accounts", "live_account", "warn", "a LIVE account", "Orders would be real"
    ),
}


@pytest.fixture(scope="module")
def reports(doctor, peers):
    """The report of each state, by its name."""

    def run_doctor(item):
        name, state = item
        with peers.get(state.peer, partial(peers["gateway"], state.peer))() as port:
            report = doctor("--json", "--port", port)
            # On a busy machine, one run may be slow, but two slow runs are very unlikely.
            return name, report if report.seconds < WORST else doctor("--json", "--port", port)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(pool.map(run_doctor, STATES.items()))


@pytest.mark.rest
@pytest.mark.timeout(240)  # the time for all states on a busy machine
@pytest.mark.parametrize("name", STATES)
def test_the_first_finding_is_the_right_one(reports, name):
    state, report = STATES[name], reports[name]
    first = report.bad[0]
    assert (first["check"], first["kind"], first["level"]) == (state.check, state.kind, state.level), report.findings
    assert state.says in first["message"]
    assert state.cure in first["advice"]
    others = {finding["check"] for finding in report.bad[1:]}
    assert others <= set(state.follows), report.bad
    skipped = {finding["check"] for finding in report.findings if finding["level"] == "skipped"}
    assert skipped >= (AFTER.get(state.check, set()) if state.level == "fail" else set())
    assert (report.code, report.is_ok) == ((1, False) if state.level == "fail" else (0, True))
    assert report.err == ""
    assert report.seconds < WORST
