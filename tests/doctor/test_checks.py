"""Single checks of the doctor, in cases that no server of the table shows."""

import asyncio
import dataclasses

import pytest

from ibkr.config import config_of, read_settings
from ibkr.doctor import CHECKS, Check, Context, Level, run_checks
from ibkr.doctor.api_client import open_connection
from ibkr.doctor.check import fail
from ibkr.doctor.checks import network_checks, session_checks, setup_checks
from ibkr.doctor.redaction import redacted
from ibkr.session.library.packages import is_older_eventkit
from ibkr.simulator import Gateway


@pytest.fixture
def make_context(tmp_path, monkeypatch):
    """Makes a context with the default settings, and with these settings."""
    monkeypatch.chdir(tmp_path)

    def make(port: int = 7497, **settings: object) -> Context:
        made = Context(lambda: read_settings(port=port, region="none", **settings), own_ids=[901, 902])
        made.config = config_of(made.read_settings())
        made.addresses = ["127.0.0.1"]
        return made

    return make


def test_every_check_needs_only_earlier_checks():
    for number, check in enumerate(CHECKS):
        assert set(check.needs) <= {earlier.name for earlier in CHECKS[:number]}
    assert len({check.name for check in CHECKS}) == len({check.title for check in CHECKS}) == len(CHECKS)


async def test_a_gateway_that_answers_on_another_address_is_a_warning(make_context, monkeypatch):
    async with Gateway(id_hold=0) as gateway:
        # Treat loopback as the external address: a machine without a network has no other one.
        monkeypatch.setattr(network_checks, "own_addresses", lambda: ["127.0.0.1"])
        [finding] = await network_checks.EXPOSURE.run(make_context(gateway.port))
        assert (finding.level, finding.kind) == (Level.WARN, "exposed")
        assert f"the gateway also answers on 127.0.0.1, port {gateway.port}" in finding.message
        assert "no password" in finding.advice
        await gateway.fault("close_on_accept")  # TWS does this with clients that it does not trust
        [finding] = await network_checks.EXPOSURE.run(make_context(gateway.port))
        assert finding.level is Level.OK
        await gateway.fault("clear")
        monkeypatch.undo()
        [finding] = await network_checks.EXPOSURE.run(make_context(gateway.port))
        assert finding.level is Level.OK


async def test_a_gateway_over_the_network_is_a_warning(make_context):
    away = make_context()
    away.addresses = ["198.51.100.7"]
    [finding] = await network_checks.EXPOSURE.run(away)
    assert (finding.level, finding.kind) == (Level.WARN, "exposed")


async def test_an_own_client_id_in_use_is_replaced_by_another(make_context):
    async with Gateway(id_hold=0) as gateway:
        await gateway.fault("occupy_client_id", 901)
        findings = [finding async for finding in run_checks(make_context(gateway.port), CHECKS)]
        await gateway.wait_for(lambda gateway: not gateway.client_ids)
    opened = next(finding for finding in findings if finding.check == "session")
    assert (opened.level, opened.message.split(" (")[0]) == (Level.OK, "open as client 902")


@pytest.mark.parametrize(("port", "kind"), [(4001, "paper_account"), (4002, ""), (5000, "")])
async def test_a_paper_account_on_a_live_port(make_context, port, kind):
    context = make_context(port)
    context.session = dataclasses.make_dataclass("Told", ["accounts"])(("DU1234567",))
    [finding] = await session_checks.ACCOUNTS.run(context)
    assert finding.kind == kind


async def test_an_account_that_is_not_in_the_login(make_context):
    context = make_context(account="DU9999999")
    context.session = dataclasses.make_dataclass("Told", ["accounts"])(("DU1234567",))
    [finding] = await session_checks.ACCOUNTS.run(context)
    assert (finding.level, finding.kind) == (Level.WARN, "unknown_account")


@pytest.mark.parametrize(
    ("symbol", "kind", "says"),
    [
        ("SLOW", "delayed_market_data", "SLOW: delayed by 10 to 15 minutes (10167)"),
        ("NONE", "no_market_data", "NONE: none (354"),
        ("XYZ", "unknown_symbol", "XYZ is not a stock on SMART in USD (200)"),
        ("FAST", "", "FAST: live"),
    ],
)
async def test_market_data_permissions(make_context, tmp_path, symbol, kind, says):
    rows = [(1, "FAST", "live"), (2, "SLOW", "delayed"), (3, "NONE", "none")]
    file = tmp_path / "instruments.toml"
    file.write_text("".join(_INSTRUMENT.format(*row) for row in rows))
    async with Gateway(id_hold=0, instruments=file) as gateway:
        context = make_context(gateway.port)
        context.symbol = symbol
        found = [each async for each in run_checks(context, CHECKS) if each.check == "market data"]
        await gateway.wait_for(lambda gateway: not gateway.client_ids)
    assert (found[0].kind, found[0].message[: len(says)]) == (kind, says)


_INSTRUMENT = """
[[instrument]]
con_id = {}
symbol = "{}"
sec_type = "STK"
price = 100.0
market_data = "{}"
"""


async def test_a_client_library_that_differs_is_named_with_the_cure(make_context, monkeypatch):
    monkeypatch.setattr(setup_checks, "differences", lambda name: (f"{name}.client.Client.reqPnL() is missing",))
    [finding] = await setup_checks.LIBRARIES.run(make_context())
    assert (finding.level, finding.kind) == (Level.FAIL, "client_library")
    assert "ib_async.client.Client.reqPnL() is missing" in finding.message
    assert "pip install 'ib_async==2.1.0'" in finding.advice


async def test_an_unknown_version_that_fits_is_a_warning(make_context, monkeypatch):
    monkeypatch.setattr("ib_async.__version__", "9.9.9")
    [finding] = await setup_checks.LIBRARIES.run(make_context())
    assert finding.level is Level.WARN
    assert "has everything that ibkr relies on" in finding.message


async def test_the_older_eventkit_is_a_warning_with_the_cure(make_context, monkeypatch):
    assert not is_older_eventkit()
    monkeypatch.setattr(setup_checks, "is_older_eventkit", lambda: True)
    [finding] = await setup_checks.LIBRARIES.run(make_context())
    assert (finding.level, finding.kind) == (Level.WARN, "client_library")
    assert "pip install --force-reinstall --no-deps 'aeventkit" in finding.advice


async def test_a_client_library_that_cannot_be_loaded_stops_no_other_check(make_context, monkeypatch):
    def broken(_name: str) -> tuple[int, int]:
        raise ImportError("cannot import name 'Event' from 'eventkit'")

    monkeypatch.setattr(setup_checks, "protocol_versions", broken)
    async with Gateway(id_hold=0) as gateway:
        found = [finding async for finding in run_checks(make_context(gateway.port), CHECKS)]
        await gateway.wait_for(lambda gateway: not gateway.client_ids)
    assert [finding.check for finding in found if finding.level is not Level.OK] == ["libraries"]


async def test_an_interrupted_run_closes_its_session(make_context):
    async with Gateway(id_hold=0) as gateway:
        run = run_checks(make_context(gateway.port), CHECKS)
        async for finding in run:
            if finding.check == "session":
                assert len(gateway.client_ids) == 1
                break
        await run.aclose()
        await gateway.wait_for(lambda gateway: not gateway.client_ids)


async def test_a_check_that_needs_a_skipped_one_is_skipped(make_context):
    async def fails(_patient: Context):
        return fail("kind", "broken", "mend it")

    checks = [Check("a", "A", fails), Check("b", "B", fails, ("a",)), Check("c", "C", fails, ("b",))]
    found = [(each.check, each.level) async for each in run_checks(make_context(), checks)]
    assert found == [("a", Level.FAIL), ("b", Level.SKIPPED), ("c", Level.SKIPPED)]


async def test_a_gateway_that_closes_the_connection_is_a_failure(make_context):
    async def refused(_patient: Context):
        raise ConnectionRefusedError(111, "Connection refused")

    checks = [Check("a", "A", refused), Check("b", "B", refused, ("session",))]
    first, second = [each async for each in run_checks(make_context(), checks)]
    assert (first.level, first.kind) == (Level.FAIL, "closed")
    assert "closed the connection during this check: [Errno 111] Connection refused" in first.message
    assert second.level is Level.SKIPPED


async def test_a_connection_whose_close_is_cancelled_is_closed(make_context):
    async with Gateway(id_hold=0) as gateway:
        await gateway.fault("freeze")  # nothing arrives, and the end of the connection does not arrive either
        async with open_connection("127.0.0.1", gateway.port, 1) as connection:
            closing = asyncio.create_task(connection.close())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            assert connection._writer.transport.is_closing()
        await gateway.fault("thaw")


def test_redaction():
    text = "gw.example.com:4001 is 203.0.113.9, fd00::12; 127.0.0.1, ::1 at 12:30:00, account XY12345, DU1234567"
    plain = redacted(text, host="gw.example.com", accounts=["XY12345"])
    assert plain == "<host>:4001 is <address>, <address>; 127.0.0.1, ::1 at 12:30:00, account XY***45, DU***67"
