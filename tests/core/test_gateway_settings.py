"""The table [ibkr.gateway]: unusable values are refused with key and cure."""

from dataclasses import fields
from datetime import time

import pytest

from ibkr.core.errors import ConfigError
from ibkr.core.gateway_settings import COMMANDS, DRIVERS, GatewaySettings

GIVEN = {
    "ibc2": {},
    "ibc": {"version": "1045", "ibc_path": "/opt/ibc", "ibc_ini": "config.ini", "tws_path": "Jts"},
    "docker": {"container": "ib-gateway"},
    "systemd": {"unit": "ib-gateway@1.service"},
    "command": {"start": "gateway --run"},
}


def test_no_driver_is_the_default():
    settings = GatewaySettings()
    assert (settings.driver, settings.auto_restart, settings.night_hours) == ("", False, (time(20), time(8)))


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_each_driver_needs(driver):
    assert GatewaySettings(driver=driver, **GIVEN[driver]).driver == driver
    for missing in GIVEN[driver]:
        given = {key: value for key, value in GIVEN[driver].items() if key != missing}
        with pytest.raises(ConfigError, match=f"must be set for the driver {driver}") as raised:
            GatewaySettings(driver=driver, **given)
        assert raised.value.key == f"ibkr.gateway.{missing}"


@pytest.mark.parametrize(
    ("key", "value", "cure"),
    [
        ("driver", "ibcalpha", "must be one of ibc2, ibc, docker, systemd, command"),
        ("program", "app", "must be one of gateway, tws"),
        ("mode", "both", "must be one of live, paper"),
        ("auto_restart", "yes", "must be true or false"),
        ("restart_after", "soon", "must be a number"),
        ("restart_after", -1.0, "0 or greater"),
        ("restart_after", float("nan"), "0 or greater"),
        ("restart_limit", 2.5, "must be a whole number"),
        ("restart_limit", True, "must be a whole number"),
        ("command_port", 70000, "from 0 to 65535"),
        ("container", "-v/:/host", "must be one word"),
        ("unit", "a b", "must be one word"),
        ("version", "--pw=secret", "must be one word"),
        ("ibc_path", 7, "must be text in one line"),
        ("ibc_path", "a\nb", "must be text in one line"),
        ("night", "evening", "must read like '20:00-08:00'"),
        ("night", "20:00-08:00+01:00", "must read like '20:00-08:00'"),
        ("night", "20:00Z-08:00", "must read like '20:00-08:00'"),
        ("restart_wait", 1e300, "at most 31622400"),
    ],
)
def test_what_cannot_work(key, value, cure):
    with pytest.raises(ConfigError) as raised:
        GatewaySettings(**{key: value})
    assert (raised.value.key, cure in raised.value.cure) == (f"ibkr.gateway.{key}", True)


@pytest.mark.parametrize("key", COMMANDS)
def test_a_command_is_never_shown(key):
    with pytest.raises(ConfigError) as raised:
        GatewaySettings(**{key: "run --pw=secret\n"})
    assert "secret" not in str(raised.value)


def test_there_is_no_place_for_a_password():
    secrets = ("pass", "pw", "secret", "token", "login")
    assert [each.name for each in fields(GatewaySettings) if any(word in each.name for word in secrets)] == []
