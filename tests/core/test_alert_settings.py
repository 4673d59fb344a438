"""The table [ibkr.alerts], and which part of an alert is about the connection."""

import math

import pytest

from ibkr.core.alert_settings import AlertSettings
from ibkr.core.errors import ConfigError
from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.core.states import ConnectionState
from ibkr.core.status import Status
from ibkr.core.status_fields import connection_alert

from .rig import START


@pytest.mark.parametrize(
    "wrong",
    [
        {"urls": ["ntfy://topic"]},
        {"urls": ("topic",)},
        {"urls": (5,)},
        {"urls": ("ntfy://a topic",)},
        {"urls": ("ntfy://\x1b",)},
        {"heartbeat_url": 5},
        {"heartbeat_url": "ftp://host"},
        {"heartbeat_url": "https://host/a path"},
        {"heartbeat_url": "https://[::1/path"},
        {"heartbeat_url": "https://host:port/path"},
        {"heartbeat_url": "https:///path"},
        {"heartbeat_url": "https://host/\u00e9"},
        {"per_hour": 0},
        {"per_hour": 1.5},
        {"per_hour": True},
        {"order_after": -1.0},
        {"order_after": math.nan},
        {"heartbeat_every": 0.5},
        {"heartbeat_every": math.inf},
        {"heartbeat_every": True},
        {"heartbeat_every": "60"},
    ],
)
def test_what_cannot_work_is_refused(wrong):
    with pytest.raises(ConfigError) as caught:
        AlertSettings(**wrong)
    [name] = wrong
    assert caught.value.key == f"ibkr.alerts.{name}"


def test_what_is_secret_is_not_shown():
    settings = AlertSettings(urls=("ntfy://a-secret",), heartbeat_url="https://host/a-secret")
    assert repr(settings) == "AlertSettings(1 URLs, heartbeat on)"
    assert repr(AlertSettings()) == "AlertSettings(0 URLs, heartbeat off)"


@pytest.mark.parametrize("own", ["", "this has lasted for 5 minutes"])
@pytest.mark.parametrize("process", ["", "look at it"])
@pytest.mark.parametrize("journal", ["", "the disk is full"])
def test_the_part_of_an_alert_that_is_about_the_connection(own, process, journal):
    gateway = GatewayStatus(GatewayState.EXITED, START, alert=process) if process else None
    status = Status(
        *(ConnectionState.DEGRADED, "", START, START, False, "", True, "127.0.0.1:7497", 3),
        alert="; ".join(filter(None, (own, process, journal))),
        journal_trouble=journal,
        gateway=gateway,
    )
    assert connection_alert(status) == own
