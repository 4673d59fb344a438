"""``ibkr doctor``: output formats, exit codes, and no disturbance of others."""

import asyncio

import pytest
from ib_async import IB

from ibkr.simulator import Gateway, ThreadedGateway

HARMLESS = {
    *("startApi", "reqManagedAccts", "reqCurrentTime", "reqMarketDataType", "reqMktData", "cancelMktData"),
    *("reqPositions", "reqOpenOrders", "reqCompletedOrders", "reqAccountUpdates", "reqAccountUpdatesMulti"),
    "reqExecutions",
}


@pytest.fixture(scope="module")
def healthy(doctor):
    """A gateway without problems: what it saw of a run, and the output of the run."""
    with ThreadedGateway(id_hold=3) as gateway:
        # On a busy machine, the simulated gateway may have to wait for a CPU. One run may be slow, but three slow runs
        # are very unlikely.
        reports = [doctor("--json", "--port", gateway.port)]
        while len(reports) < 3 and reports[-1].seconds >= 4:
            reports.append(doctor("--json", "--port", gateway.port))
        gateway.wait_for(lambda gateway: not gateway.client_ids)
        yield gateway.seen, reports


def test_a_healthy_gateway(healthy):
    _, [report, *_] = healthy
    assert (report.code, report.is_ok, report.err) == (0, True, "")
    assert {finding["level"] for finding in report.findings} == {"ok"}, report.bad
    assert all(set(finding) == {"check", "level", "kind", "message", "advice"} for finding in report.findings)
    assert report.of("accounts")["message"] == "paper: DU***67"
    assert report.of("market data")["message"] == "AAPL: live"
    assert "20 probes" in report.of("latency")["message"]
    assert "positions" in report.of("start-up")["message"]
    assert "1 is free" in report.of("client id")["message"]


def test_it_takes_less_than_four_seconds(healthy):
    assert min(report.seconds for report in healthy[1]) < 4


def test_it_sends_only_harmless_requests(healthy):
    seen, reports = healthy
    assert {request.name for request in seen.requests} == HARMLESS
    assert len(seen.received("reqCurrentTime")) == len(reports)  # more than one per second may hang a real gateway
    assert seen.to_dict()["live_streams"] in ({}, {str(session.client_id): {} for session in seen.sessions})
    own = {session.client_id for session in seen.sessions} - {1}
    assert own
    assert all(900 <= client_id < 999 for client_id in own)


async def test_the_owner_of_the_client_id_is_not_disturbed(doctor):
    async with Gateway(id_hold=0) as gateway:
        ib = IB()
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=5)
        report = await asyncio.to_thread(doctor, "--json", "--port", gateway.port, "--client-id", 5)
        assert (report.bad[0]["check"], report.bad[0]["kind"]) == ("client id", "client_id_in_use")
        assert "If your own program uses it now, this is not a problem" in report.bad[0]["advice"]
        assert len(report.bad) == 1
        assert gateway.client_ids == [5]
        assert ib.isConnected()
        ib.disconnect()
        await gateway.wait_for(lambda gateway: not gateway.client_ids)


def test_text_output_names_the_first_problem(doctor, peers):
    with peers["gateway"]("read_only", "clock_off 300") as port:
        report = doctor("--port", port)
    assert report.code == 0
    words = " ".join(report.out.split())
    assert "warn Read-Only API the gateway's Read-Only API setting is on" in words
    assert "To trade, switch it off" in words
    assert "ok Market data AAPL: live" in words
    assert report.err == "2 warnings. Begin with: Read-Only API.\n"
    assert "\x1b" not in report.out
    assert max(map(len, report.out.splitlines())) <= 100


def test_skipped_checks_are_one_line(doctor, peers):
    with peers["gateway"]("old_version") as port:
        report = doctor("--port", port)
    assert report.code == 1
    assert "skipped  10 more" in report.out
    assert "needs:" not in report.out
    assert report.err == "1 failure. Begin with: Handshake.\n"


def test_the_bug_report_contains_nothing_private(doctor, tmp_path):
    (tmp_path / "ibkr.toml").write_text('[ibkr]\naccount = "DU1234567"\nshow_accounts = true\n')
    with ThreadedGateway(id_hold=0, accounts=("DU1234567", "U7654321")) as gateway:
        args = ("--for-issue", "--host", "localhost", "--port", gateway.port)
        report = doctor(*args, "--config", tmp_path / "ibkr.toml", HOME=str(tmp_path))
    assert (report.code, report.err) == (0, "")
    assert "DU***67" in report.out
    assert "U7654321" not in report.out
    assert "DU1234567" not in report.out
    assert str(tmp_path) not in report.out
    assert "[ok] port: localhost:" in report.out
    for word in ("Python 3.", "ib_async 2.", "ibkr-connector "):
        assert word in report.out


def test_a_wrong_configuration_is_a_finding_and_exits_with_2(doctor, tmp_path):
    (tmp_path / "ibkr.toml").write_text("[ibkr]\nprot = 7497\n")
    report = doctor("--json", cwd=tmp_path)
    assert (report.code, report.is_ok) == (2, False)
    assert report.bad[0]["check"] == report.bad[0]["kind"] == "configuration"
    assert "did you mean 'port'?" in report.bad[0]["message"]
    assert {finding["level"] for finding in report.findings[1:]} == {"skipped"}
    assert "Traceback" not in report.err


def test_overridden_settings_are_shown(doctor, tmp_path, peers):
    (tmp_path / "ibkr.toml").write_text('[ibkr]\nport = 1\nclient_id = 3\naccount = "DU1"\n')
    with peers["nobody"]() as port:
        report = doctor("--json", "--port", port, cwd=tmp_path, IBKR_PORT="2", IBKR_PROT="4")
    said = report.of("configuration")["message"]
    assert f"port {port} (the arguments, overrides 1 in ibkr.toml, 2 in IBKR_PORT in the environment)" in said
    assert "client_id 3 (ibkr.toml)" in said
    assert "account *** (ibkr.toml)" in said
    assert report.bad[0]["check"] == "configuration"
    assert "IBKR_PROT in the environment is not a setting" in report.bad[0]["message"]


def test_an_open_window_and_a_session_that_ends(doctor, peers):
    windows = {"IBKR_MAINTENANCE": "always: Mon-Sun 00:00-00:00 UTC"}
    with peers["gateway"]("truncate_message accountDownloadEnd") as port:
        report = doctor("--json", "--port", port, **windows)
    assert report.code == 1
    assert [(each["check"], each["kind"], each["level"]) for each in report.bad] == [
        ("start-up", "closed", "fail"),
        ("maintenance", "maintenance", "warn"),
    ]
    assert "during this check" in report.bad[0]["message"]
    assert "a maintenance window is open: always until 00:00 UTC" in report.bad[1]["message"]


@pytest.mark.parametrize(
    ("args", "word"),
    [(["--json", "--for-issue"], "not both"), (["--port", "x"], "--port"), (["--nonsense"], "--nonsense")],
)
def test_wrong_usage_exits_with_2(doctor, args, word):
    report = doctor(*args)
    assert (report.code, report.out) == (2, "")
    assert word in report.err
