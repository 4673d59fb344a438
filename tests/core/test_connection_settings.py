"""The connection settings: unusable values are refused in the constructor."""

import math

import pytest

from ibkr.core.connection_settings import ConnectionSettings
from ibkr.core.errors import ConfigError


def test_the_defaults_are_paper_trading_in_tws_on_this_machine():
    settings = ConnectionSettings()
    assert (settings.host, settings.port, settings.client_id, settings.timeout) == ("127.0.0.1", 7497, 1, 5.0)
    assert (settings.account, settings.readonly, settings.backend, settings.show_accounts) == (
        "",
        False,
        "ib_async",
        False,
    )


@pytest.mark.parametrize(
    "good",
    [
        {"host": "gateway.example"},
        {"host": "::1"},
        {"port": 1},
        {"port": 65535},
        {"client_id": 0},
        {"client_id": 2**31 - 1},
        {"timeout": 1},
        {"timeout": 0.001},
        {"account": "DU1234567", "readonly": True, "show_accounts": True},
    ],
)
def test_accepted(good):
    settings = ConnectionSettings(**good)
    assert {key: getattr(settings, key) for key in good} == good


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("host", "", "name or an address"),
        ("host", None, "name or an address"),
        ("host", "a b", "name or an address"),
        ("host", "a\tb", "name or an address"),
        ("host", "127.0.0.1:7497", "ibkr.port"),
        ("host", "tcp://gateway", "alone"),
        ("host", "[::1]", "alone"),
        ("port", 0, "1 to 65535"),
        ("port", 65536, "1 to 65535"),
        ("port", "7497", "whole number"),
        ("port", True, "whole number"),
        ("client_id", -1, "from 0 to 2147483647"),
        ("client_id", 2**31, "whole number"),
        ("client_id", 1.0, "whole number"),
        ("journal", 5, "path of a file"),
        ("journal_sync", "off", "normal or full"),
        ("timeout", 0, "greater than 0"),
        ("timeout", -1.0, "greater than 0"),
        ("timeout", math.inf, "greater than 0"),
        ("timeout", math.nan, "greater than 0"),
        ("timeout", True, "number of seconds"),
        ("timeout", "5", "number of seconds"),
        ("account", None, "must be text"),
        ("record", None, "must be the name of a folder"),
        ("readonly", 1, "true or false"),
        ("show_accounts", "yes", "true or false"),
        ("backend", "other", "must be 'ib_async' or 'ib_insync'"),
    ],
)
def test_refused_with_key_value_and_cure(key, value, word):
    with pytest.raises(ConfigError) as caught:
        ConnectionSettings(**{key: value})
    error = caught.value
    assert error.key == f"ibkr.{key}"
    assert error.value is value
    assert word in error.cure
    assert str(error) == f"ibkr.{key} = {value!r}: {error.cure}"
