"""load_config reads five sources; the later ones win."""

import os
from dataclasses import fields

import pytest

from ibkr.config import load_config
from ibkr.core.alert_settings import AlertSettings
from ibkr.core.connection_settings import ConnectionSettings
from ibkr.core.deadline_settings import Deadlines
from ibkr.core.errors import ConfigError
from ibkr.core.fleet_settings import Fleet
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.policy import Policy


def test_with_nothing_given_it_is_the_defaults():
    cfg = load_config()
    assert {f.name: cfg["ibkr"][f.name] for f in fields(ConnectionSettings)} == {
        f.name: getattr(ConnectionSettings(), f.name) for f in fields(ConnectionSettings)
    }
    assert cfg.ibkr.policy == Policy()


def test_attributes_and_keys_are_the_same_values():
    cfg = load_config(port=4002, probe_after=2)
    assert cfg.ibkr.port == cfg["ibkr"]["port"] == 4002
    assert cfg.ibkr.policy.probe_after == cfg["ibkr"]["probe_after"] == 2.0


def test_a_section_turns_into_a_flat_dict_of_every_setting():
    flat = dict(load_config(flap_limit=7)["ibkr"])
    in_tables = {f"gateway.{f.name}" for f in fields(GatewaySettings)}
    in_tables |= {f"deadlines.{f.name}" for f in fields(Deadlines)}
    in_tables |= {f"alerts.{f.name}" for f in fields(AlertSettings)}
    in_tables |= {f"fleet.{f.name}" for f in fields(Fleet)}
    assert flat.keys() == {f.name for f in (*fields(ConnectionSettings), *fields(Policy))} - {"deadlines"} | in_tables
    assert flat["flap_limit"] == 7


def test_the_table_of_deadlines(cwd, monkeypatch):
    (cwd / "ibkr.toml").write_text('[ibkr.deadlines]\nreference = 5\nhistory = "off"\n')
    monkeypatch.setenv("IBKR_DEADLINES_SNAPSHOT", "off")
    monkeypatch.setenv("IBKR_DEADLINES_ACCOUNT", "7.5")
    section = load_config()["ibkr"]
    assert section.policy.deadlines == Deadlines(5.0, 7.5, None, None, 120.0)
    assert (section["deadlines.reference"], section["deadlines.history"]) == (5.0, None)
    with pytest.raises(ConfigError, match=r"ibkr.deadlines.history.*greater than 0.*set by the arguments"):
        load_config(**{"deadlines.history": -1.0})


@pytest.mark.parametrize(
    "text",
    [
        '[ibkr]\nport = 4002\n[ibkr.gateway]\ndriver = "docker"\ncontainer = "gw"\nrestart_after = 60\n',
        '[ibkr]\nport = 4002\ngateway.driver = "docker"\ngateway.container = "gw"\ngateway.restart_after = 60\n',
    ],
)
def test_the_table_of_the_gateway(cwd, monkeypatch, text):
    (cwd / "ibkr.toml").write_text(text)
    monkeypatch.setenv("IBKR_GATEWAY_RESTART_LIMIT", "1")
    cfg = load_config(gateway={"container": "other"})
    gateway = cfg.ibkr.gateway
    assert (gateway.driver, gateway.restart_after, gateway.restart_limit) == ("docker", 60.0, 1)
    assert cfg["ibkr"]["gateway.container"] == gateway.container == "other"
    assert cfg.ibkr.port == 4002


def test_later_places_win(cwd, monkeypatch):
    """Each source sets all keys from its own on, so the key under test shows the last source that set it."""
    (cwd / "ibkr.toml").write_text('[ibkr]\nhost = "toml"\nport = 1001\nclient_id = 11\ntimeout = 1.5\n')
    (cwd / ".env").write_text("IBKR_PORT=1002\nIBKR_CLIENT_ID=12\nIBKR_TIMEOUT=2.5\n")
    monkeypatch.setenv("IBKR_CLIENT_ID", "13")
    monkeypatch.setenv("IBKR_TIMEOUT", "3.5")
    settings = load_config(timeout=4.5).ibkr
    assert (settings.host, settings.port, settings.client_id, settings.timeout) == ("toml", 1002, 13, 4.5)


def test_a_file_of_another_name_is_read_instead_of_the_usual_one(cwd):
    (cwd / "ibkr.toml").write_text("[ibkr]\nport = 1001\nclient_id = 11\n")
    other = cwd / "other.toml"
    other.write_text("[ibkr]\nport = 1003\n")
    for path in (other, str(other)):
        settings = load_config(path).ibkr
        assert (settings.port, settings.client_id) == (1003, 1)


def test_toml_values_of_every_type(cwd):
    (cwd / "ibkr.toml").write_text(
        '[ibkr]\nhost = "gw"\nport = 4001\nreadonly = true\ntimeout = 7\n'
        'required_farms = ["usfarm", "ushmds"]\nprobe_after = 2\n'
    )
    settings = load_config().ibkr
    assert (settings.host, settings.port, settings.readonly) == ("gw", 4001, True)
    assert settings.policy.required_farms == ("usfarm", "ushmds")
    for number, value in ((settings.timeout, 7.0), (settings.policy.probe_after, 2.0)):
        assert isinstance(number, float)
        assert number == value


def test_every_setting_has_its_environment_variable(monkeypatch):
    defaults = dict(load_config()["ibkr"])
    for key, default in defaults.items():
        text = {"backend": "ib_insync", "host": "gw", "account": "DU1234567", "jitter": "0.5"}.get(key)
        text = text or {"region": "asia", "daily_restart": "23:45 Europe/London"}.get(key)
        text = text or {"missing_subscriptions": "report", "journal_sync": "full"}.get(key)
        text = text or {"maintenance": "backup: Sat 02:00-03:30 Europe/London"}.get(key)
        text = text or {"gateway.driver": "ibc2", "gateway.program": "tws", "gateway.mode": "live"}.get(key)
        text = text or {"gateway.night": "22:00-06:00", "order_codes": "10999=note"}.get(key)
        text = text or {"fleet.replicas": "3"}.get(key)
        text = text or {"fleet.servers": "nats://a", "fleet.client_ids": "5-9", "fleet.name": "a"}.get(key)
        text = text or {"alerts.urls": "ntfy://a, json://b", "alerts.heartbeat_url": "https://hc.example/x"}.get(key)
        text = (
            text
            or {bool: "off" if default else "on", int: "33", float: "3.5", tuple: "usfarm, ushmds", str: "gw"}[
                type(default)
            ]
        )
        with monkeypatch.context() as only:
            if key.startswith("fleet."):  # each of these keys is valid only together with the others
                only.setenv("IBKR_FLEET_NAME", "other")
                only.setenv("IBKR_FLEET_TLS_CERT", "cert")
                only.setenv("IBKR_FLEET_TLS_KEY", "key")
            only.setenv(f"IBKR_{key.upper().replace('.', '_')}", text)
            value = load_config()["ibkr"][key]
        assert type(value) is type(default)
        assert value != default


@pytest.mark.parametrize(("text", "value"), [(t, True) for t in ("1", "true", "TRUE", "Yes", "on")])
def test_words_for_true(monkeypatch, text, value):
    monkeypatch.setenv("IBKR_READONLY", text)
    assert load_config().ibkr.readonly is value


@pytest.mark.parametrize("text", ["0", "false", "No", "off"])
def test_words_for_false(cwd, monkeypatch, text):
    (cwd / "ibkr.toml").write_text("[ibkr]\nreadonly = true\n")
    monkeypatch.setenv("IBKR_READONLY", text)
    assert load_config().ibkr.readonly is False


def test_an_empty_variable_is_not_set(cwd, monkeypatch):
    (cwd / ".env").write_text("IBKR_PORT=\n")
    monkeypatch.setenv("IBKR_TIMEOUT", "  ")
    assert (load_config().ibkr.port, load_config().ibkr.timeout) == (7497, 5.0)


def test_none_as_an_argument_is_not_given(monkeypatch):
    monkeypatch.setenv("IBKR_PORT", "4002")
    assert load_config(port=None).ibkr.port == 4002


def test_the_environment_is_only_read(cwd, monkeypatch):
    monkeypatch.setenv("IBKR_PORT", "4002")
    (cwd / ".env").write_text("IBKR_HOST=gw\nOTHER=1\n")
    before = dict(os.environ)
    assert load_config().ibkr.host == "gw"
    assert dict(os.environ) == before


def test_files_that_a_windows_editor_saved(cwd):
    (cwd / "ibkr.toml").write_bytes(b"\xef\xbb\xbf[ibkr]\r\nport = 4002\r\n")
    (cwd / ".env").write_bytes(b"\xef\xbb\xbfIBKR_HOST=gw\r\nIBKR_CLIENT_ID=5\r\n")
    settings = load_config().ibkr
    assert (settings.port, settings.host, settings.client_id) == (4002, "gw", 5)


def test_a_directory_named_env_is_not_the_file(cwd):
    (cwd / ".env").mkdir()
    assert load_config().ibkr.port == 7497


def test_the_values_are_frozen():
    settings = load_config().ibkr
    with pytest.raises(AttributeError):
        settings.port = 1


def test_unknown_keys_of_the_result_name_the_nearest():
    cfg = load_config()
    with pytest.raises(KeyError, match="did you mean 'port'"):
        cfg["ibkr"]["prot"]
    with pytest.raises(KeyError, match="the only one is 'ibkr'"):
        cfg["ib"]
