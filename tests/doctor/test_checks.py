"""What no peer of the table shows: single checks, each by itself."""

import asyncio
import dataclasses

import pytest

from ibkr.config import config_of, read_settings
from ibkr.doctor import CHECKS, Check, Level, Patient, examine
from ibkr.doctor.api import dialled
from ibkr.doctor.check import fail
from ibkr.doctor.checks import accounts, exposure, libraries
from ibkr.doctor.redaction import redacted
from ibkr.session.library.packages import is_older_eventkit
from ibkr.simulator import Gateway


@pytest.fixture
def patient(tmp_path, monkeypatch):
    """Of the defaults, but for a port that is given."""
    monkeypatch.chdir(tmp_path)

    def make(port: int = 7497, **settings: object) -> Patient:
        made = Patient(lambda: read_settings(port=port, region="none", **settings), own_ids=[901, 902])
        made.cfg = config_of(made.settings())
        made.addresses = ["127.0.0.1"]
        return made

    return make


def test_every_check_needs_only_what_stands_before_it():
    for number, check in enumerate(CHECKS):
        assert set(check.needs) <= {earlier.name for earlier in CHECKS[:number]}
    assert len({check.name for check in CHECKS}) == len({check.about for check in CHECKS}) == len(CHECKS)


async def test_a_gateway_that_answers_on_another_address_is_a_warning(patient, monkeypatch):
    async with Gateway(id_hold=0) as gateway:
        # As if loopback were the address that others reach: a machine without a network has no other.
        monkeypatch.setattr(exposure, "own_addresses", lambda: ["127.0.0.1"])
        [finding] = await exposure.CHECK.look(patient(gateway.port))
        assert (finding.level, finding.kind) == (Level.WARN, "exposed")
        assert f"the gateway answers on 127.0.0.1, too, port {gateway.port}" in finding.message
        assert "no password" in finding.advice
        await gateway.fault("close_on_accept")  # as TWS does to those that it does not trust
        [finding] = await exposure.CHECK.look(patient(gateway.port))
        assert finding.level is Level.OK
        await gateway.fault("clear")
        monkeypatch.undo()
        [finding] = await exposure.CHECK.look(patient(gateway.port))
        assert finding.level is Level.OK


async def test_a_gateway_over_the_network_is_a_warning(patient):
    away = patient()
    away.addresses = ["198.51.100.7"]
    [finding] = await exposure.CHECK.look(away)
    assert (finding.level, finding.kind) == (Level.WARN, "exposed")


async def test_our_own_id_that_is_taken_gives_way_to_another(patient):
    async with Gateway(id_hold=0) as gateway:
        await gateway.fault("occupy_client_id", 901)
        findings = [finding async for finding in examine(patient(gateway.port), CHECKS)]
        await gateway.wait_for(lambda gateway: not gateway.client_ids)
    opened = next(finding for finding in findings if finding.check == "session")
    assert (opened.level, opened.message.split(" (")[0]) == (Level.OK, "open as client 902")


@pytest.mark.parametrize(("port", "kind"), [(4001, "paper_account"), (4002, ""), (5000, "")])
async def test_a_paper_account_at_the_port_of_live_trading(patient, port, kind):
    looked_at = patient(port)
    looked_at.session = dataclasses.make_dataclass("Told", ["accounts"])(("DU1234567",))
    [finding] = await accounts.CHECK.look(looked_at)
    assert finding.kind == kind


async def test_an_account_that_the_login_does_not_have(patient):
    looked_at = patient(account="DU9999999")
    looked_at.session = dataclasses.make_dataclass("Told", ["accounts"])(("DU1234567",))
    [finding] = await accounts.CHECK.look(looked_at)
    assert (finding.level, finding.kind) == (Level.WARN, "unknown_account")


@pytest.mark.parametrize(
    ("symbol", "kind", "says"),
    [
        ("SLOW", "delayed_market_data", "SLOW: delayed, by 10 to 15 minutes (10167)"),
        ("NONE", "no_market_data", "NONE: none (354"),
        ("XYZ", "unknown_symbol", "XYZ is no stock on SMART in USD (200)"),
        ("FAST", "", "FAST: live"),
    ],
)
async def test_what_data_there_is_of_a_contract(patient, tmp_path, symbol, kind, says):
    rows = [(1, "FAST", "live"), (2, "SLOW", "delayed"), (3, "NONE", "none")]
    file = tmp_path / "instruments.toml"
    file.write_text("".join(_INSTRUMENT.format(*row) for row in rows))
    async with Gateway(id_hold=0, instruments=file) as gateway:
        looked_at = patient(gateway.port)
        looked_at.symbol = symbol
        found = [each async for each in examine(looked_at, CHECKS) if each.check == "market data"]
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


async def test_a_client_library_that_differs_is_named_with_the_cure(patient, monkeypatch):
    monkeypatch.setattr(libraries, "differences", lambda name: (f"{name}.client.Client.reqPnL() is missing",))
    [finding] = await libraries.CHECK.look(patient())
    assert (finding.level, finding.kind) == (Level.FAIL, "client_library")
    assert "ib_async.client.Client.reqPnL() is missing" in finding.message
    assert "pip install 'ib_async==2.1.0'" in finding.advice


async def test_an_unknown_version_that_fits_is_a_warning(patient, monkeypatch):
    monkeypatch.setattr("ib_async.__version__", "9.9.9")
    [finding] = await libraries.CHECK.look(patient())
    assert finding.level is Level.WARN
    assert "has everything that ibkr relies on" in finding.message


async def test_the_older_eventkit_is_a_warning_with_the_cure(patient, monkeypatch):
    assert not is_older_eventkit()
    monkeypatch.setattr(libraries, "is_older_eventkit", lambda: True)
    [finding] = await libraries.CHECK.look(patient())
    assert (finding.level, finding.kind) == (Level.WARN, "client_library")
    assert "pip install --force-reinstall --no-deps 'aeventkit" in finding.advice


async def test_a_client_library_that_cannot_be_loaded_ends_nothing_else(patient, monkeypatch):
    def broken(_name: str) -> tuple[int, int]:
        raise ImportError("cannot import name 'Event' from 'eventkit'")

    monkeypatch.setattr(libraries, "spoken_versions", broken)
    async with Gateway(id_hold=0) as gateway:
        found = [finding async for finding in examine(patient(gateway.port), CHECKS)]
        await gateway.wait_for(lambda gateway: not gateway.client_ids)
    assert [finding.check for finding in found if finding.level is not Level.OK] == ["libraries"]


async def test_a_run_that_is_broken_off_closes_its_session(patient):
    async with Gateway(id_hold=0) as gateway:
        run = examine(patient(gateway.port), CHECKS)
        async for finding in run:
            if finding.check == "session":
                assert len(gateway.client_ids) == 1
                break
        await run.aclose()
        await gateway.wait_for(lambda gateway: not gateway.client_ids)


async def test_what_needs_something_skipped_is_skipped(patient):
    async def fails(_patient: Patient):
        return fail("a", "kind", "broken", "mend it")

    checks = [Check("a", "A", fails), Check("b", "B", fails, ("a",)), Check("c", "C", fails, ("b",))]
    found = [(each.check, each.level) async for each in examine(patient(), checks)]
    assert found == [("a", Level.FAIL), ("b", Level.SKIPPED), ("c", Level.SKIPPED)]


async def test_a_gateway_that_is_gone_in_the_middle_is_a_failure_and_ends_the_session(patient):
    async def refused(_patient: Patient):
        raise ConnectionRefusedError(111, "Connection refused")

    checks = [Check("a", "A", refused), Check("b", "B", refused, ("session",))]
    first, second = [each async for each in examine(patient(), checks)]
    assert (first.level, first.kind) == (Level.FAIL, "closed")
    assert "went away in the middle of this: [Errno 111] Connection refused" in first.message
    assert second.level is Level.SKIPPED


async def test_a_line_that_is_cancelled_while_it_closes_is_closed(patient):
    async with Gateway(id_hold=0) as gateway:
        await gateway.fault("freeze")  # nothing comes, not even the end
        async with dialled("127.0.0.1", gateway.port, 1) as line:
            closing = asyncio.create_task(line.close())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            assert line._writer.transport.is_closing()
        await gateway.fault("thaw")


def test_redaction():
    text = "gw.example.com:4001 is 203.0.113.9, fd00::12; 127.0.0.1, ::1 at 12:30:00, account XY12345, DU1234567"
    plain = redacted(text, host="gw.example.com", accounts=["XY12345"])
    assert plain == "<host>:4001 is <address>, <address>; 127.0.0.1, ::1 at 12:30:00, account XY***45, DU***67"
