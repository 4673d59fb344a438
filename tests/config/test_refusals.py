"""load_config refuses unusable settings with key, value, source and cure."""

import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.config import Section, load_config
from ibkr.core.errors import ConfigError


def refusal(path=None, **overrides) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(path, **overrides)
    return caught.value


@pytest.mark.parametrize(
    ("variable", "text", "key", "cure"),
    [
        ("IBKR_PORT", "74x7", "ibkr.port", "must be a whole number"),
        ("IBKR_PORT", "70000", "ibkr.port", "from 1 to 65535"),
        ("IBKR_PORT", "0", "ibkr.port", "from 1 to 65535"),
        ("IBKR_CLIENT_ID", "-1", "ibkr.client_id", "from 0 to 2147483647"),
        ("IBKR_CLIENT_ID", "99999999999", "ibkr.client_id", "from 0 to 2147483647"),
        ("IBKR_TIMEOUT", "soon", "ibkr.timeout", "must be a number"),
        ("IBKR_TIMEOUT", "nan", "ibkr.timeout", "must be a number"),
        ("IBKR_TIMEOUT", "inf", "ibkr.timeout", "must be a number"),
        ("IBKR_TIMEOUT", "0", "ibkr.timeout", "greater than 0"),
        ("IBKR_PROBE_AFTER", "nan", "ibkr.probe_after", "must be a number"),
        ("IBKR_READONLY", "maybe", "ibkr.readonly", "true, false"),
        ("IBKR_HOST", "127.0.0.1:7497", "ibkr.host", "ibkr.port"),
        ("IBKR_BACKEND", "ibapi", "ibkr.backend", "must be 'ib_async' or 'ib_insync'"),
        ("IBKR_PROBE_AFTER", "-2", "ibkr.probe_after", "greater than 0"),
        ("IBKR_JITTER", "1", "ibkr.jitter", "below 1"),
        ("IBKR_SUSPECT_AFTER", "9", "ibkr.suspect_after", "probe_timeout"),
    ],
)
@pytest.mark.parametrize("place", ["the environment", ".env"])
def test_a_variable(cwd, monkeypatch, place, variable, text, key, cure):
    if place == ".env":
        (cwd / ".env").write_text(f"{variable}={text}\n")
    else:
        monkeypatch.setenv(variable, text)
    error = refusal()
    assert error.key == key
    assert str(error.value) in (text, f"{text}.0")
    assert cure in error.cure
    assert f"set by {variable} in {place}" in error.cure


@pytest.mark.parametrize(
    ("line", "key", "cure"),
    [
        ("gateway.restart_after = -1", "ibkr.gateway.restart_after", "0 or greater"),
        ('gateway.driver = "ibcalpha"', "ibkr.gateway.driver", "must be one of ibc2"),
        ("gateway.drivr = 1", "ibkr.gateway.drivr", "did you mean 'gateway.driver'"),
        ("gateway = 1", "ibkr.gateway", "must be a table, a line [ibkr.gateway]"),
        ("fleet = []", "ibkr.fleet", "must be a table, a line [ibkr.fleet]"),
        ('port = "7497"', "ibkr.port", "must be a whole number"),
        ("port = true", "ibkr.port", "must be a whole number"),
        ("port = 7497.0", "ibkr.port", "must be a whole number"),
        ("port = 0", "ibkr.port", "from 1 to 65535"),
        ("timeout = nan", "ibkr.timeout", "must be a number"),
        ("timeout = -inf", "ibkr.timeout", "must be a number"),
        ("timeout = true", "ibkr.timeout", "must be a number"),
        ("timeout = 1" + "0" * 400, "ibkr.timeout", "must be a number"),
        ("readonly = 1", "ibkr.readonly", "true or false"),
        ("host = 127", "ibkr.host", "must be a name or an address"),
        ('required_farms = "usfarm"', "ibkr.required_farms", "list of texts"),
        ("required_farms = [1]", "ibkr.required_farms", "names of data farms"),
        ("prot = 7497", "ibkr.prot", "did you mean 'port'"),
        ("Port = 7497", "ibkr.Port", "did you mean 'port'"),
        ("zzzzzz = 1", "ibkr.zzzzzz", "known settings: account, backend"),
    ],
)
def test_a_line_of_the_file(cwd, line, key, cure):
    (cwd / "ibkr.toml").write_text(f"[ibkr]\n{line}\n")
    error = refusal()
    assert error.key == key
    assert cure in error.cure
    assert "set by ibkr.toml" in error.cure


def test_an_argument():
    assert "did you mean 'port'? (set by the arguments)" in refusal(prot=1).cure
    assert "from 1 to 65535 (set by the arguments)" in refusal(port="7497").cure


def test_a_rule_between_two_settings_when_the_other_one_was_given():
    error = refusal(probe_timeout=0.5)
    assert error.key == "ibkr.probe_timeout"
    assert "suspect_after (1.0) (set by the arguments)" in error.cure


@pytest.mark.parametrize(
    ("text", "key", "cure"),
    [
        ("port = 7497\n", "ibkr.port", "below the line [ibkr]"),
        ("[ibrk]\nport = 7497\n", "ibrk", "did you mean [ibkr]?"),
        ("[gateway]\ndriver = 'ibc2'\n", "gateway", "did you mean [ibkr.gateway]?"),
        ("[connection]\nport = 7597\n", "connection", "did you mean [ibkr]?"),
        ("[proces]\ndriver = 'ibc2'\n", "proces", "did you mean [ibkr.gateway]?"),
        ("[tool.other]\nx = 1\n", "tool", "There are [ibkr], [ibkr."),
        ("prot = 7497\n", "prot", "did you mean 'port', below the line [ibkr]?"),
        ("[ibkr]\nport = 7497\n[[orders]]\nx = 1\n", "orders", "unknown setting"),
        ("[ibkr.gatway]\ndriver = 'ibc2'\n", "ibkr.gatway", "did you mean [ibkr.gateway]?"),
        ("[ibkr.other]\nhistory = 3\n", "ibkr.other", "did you mean [ibkr.deadlines]?"),
        ("ibkr = 7497\n", "ibkr", "must be a table"),
        ("[ibkr]\nport = \n", "config", "line 2"),
    ],
)
def test_a_file_of_the_wrong_shape(cwd, text, key, cure):
    (cwd / "own.toml").write_text(text)
    error = refusal("own.toml")
    assert error.key == key
    assert cure in error.cure
    assert "own.toml" in str(error)


def test_a_file_that_is_named_but_missing():
    assert "no such file" in refusal("nowhere.toml").cure


def test_a_file_that_cannot_be_read(cwd):
    (cwd / "ibkr.toml").mkdir()
    assert "cannot be read" in refusal().cure


@pytest.mark.parametrize("name", ["ibkr.toml", ".env"])
def test_a_file_that_is_no_utf8(cwd, name):
    (cwd / name).write_bytes(b"IBKR_HOST=caf\xe9\n")
    error = refusal()
    assert error.value == name
    assert "byte 13" in error.cure


def test_a_name_without_a_value(cwd):
    (cwd / ".env").write_text("IBKR_PORT\n")
    assert "NAME=value (set by IBKR_PORT in .env)" in refusal().cure


@pytest.mark.parametrize("variable", ["IBKR_PROT", "IBKR_CLIENTID", "ibkr_port"])
def test_a_near_miss_is_warned_of(cwd, caplog, variable):
    (cwd / ".env").write_text(f"{variable}=4002\n")
    with caplog.at_level(logging.WARNING, "ibkr"):
        assert load_config().ibkr.port == 7497
    (record,) = caplog.records
    assert record.name == "ibkr.config"
    assert f"{variable} in .env is not a setting" in record.getMessage()
    assert "4002" not in record.getMessage()


@pytest.mark.parametrize("variable", ["IBKR_LIVE_PORT", "IBKR_PASSWORD", "PORT", "XIBKR_PORT"])
def test_other_names_are_not_ours(monkeypatch, caplog, variable):
    monkeypatch.setenv(variable, "4002")
    assert load_config().ibkr.port == 7497
    assert not caplog.records


def outcome(**overrides) -> Section | ConfigError:
    try:
        return load_config(**overrides).ibkr
    except ConfigError as error:
        return error


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits what its environment holds")
def test_any_text_for_a_port_is_a_port_or_a_refusal(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IBKR_PORT", text)
        got = outcome()
    if isinstance(got, ConfigError):
        assert got.key == "ibkr.port"
        assert "IBKR_PORT in the environment" in got.cure
    else:
        assert 1 <= got.port <= 65535


@pytest.mark.parametrize("key", ["host", "port", "timeout", "readonly", "required_farms", "probe_after"])
@given(value=st.one_of(st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text())))
def test_any_argument_is_used_or_refused(key, value):
    got = outcome(**{key: value})
    if isinstance(got, ConfigError):
        assert got.key in (f"ibkr.{key}", "ibkr.suspect_after")
    elif isinstance(value, list):
        assert got[key] == tuple(value)
    else:
        assert got[key] == type(got[key])(value)


@pytest.mark.parametrize(
    "line", ['IBKR_PORT="1', "IBKR_PORT 1", "ibkr_port = '1", 'export IBKR_PORT="1" 2', 'A="\nIBKR_PORT=1\nB="2"']
)
def test_a_line_of_env_that_cannot_be_parsed(cwd, line):
    (cwd / ".env").write_text(f"A=1\n{line}\nB=2\n")
    error = refusal()
    assert str(error).startswith("line 2 of .env = '...': cannot be parsed")


def test_a_line_of_another_program_may_be_anything(cwd):
    (cwd / ".env").write_text("if OTHER then\nIBKR_PORT=4002\nOTHER='\n")
    assert load_config().ibkr.port == 4002


@pytest.mark.parametrize("variable", ["IBKR_DAILY_RESTART", "IBKR_HOST", "IBKR_GATEWAY_DRIVER", "IBKR_REGION"])
def test_a_refusal_is_printable(monkeypatch, variable):
    monkeypatch.setenv(variable, "23:45 \x1b[31m\x07")
    assert str(refusal()).isprintable()
