"""The table [ibkr.alerts]; its secrets are never shown."""

import pytest

from ibkr.config import load_config
from ibkr.core.alert_settings import AlertSettings
from ibkr.core.errors import ConfigError

SECRET = "a-secret-of-somebody"


def test_the_table_of_alerts(cwd, monkeypatch):
    (cwd / "ibkr.toml").write_text(
        '[ibkr.alerts]\nurls = ["ntfy://topic", "json://host/path?a=b,c"]\nper_hour = 5\nheartbeat_every = 30\n'
    )
    monkeypatch.setenv("IBKR_ALERTS_HEARTBEAT_URL", f"https://hc.example/{SECRET}")
    alerts = load_config().ibkr.alerts
    assert alerts.urls == ("ntfy://topic", "json://host/path?a=b,c")
    assert (alerts.per_hour, alerts.heartbeat_every) == (5, 30.0)
    assert alerts.heartbeat_url == f"https://hc.example/{SECRET}"
    assert load_config()["ibkr"]["alerts.per_hour"] == 5
    assert SECRET not in repr(alerts)
    assert "topic" not in repr(alerts)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (f'urls = "slack://{SECRET}"', "urls"),
        (f'urls = ["{SECRET}"]', "urls"),
        (f'urls = ["slack://{SECRET} x"]', "urls"),
        (f'urls = ["slack://{SECRET}\\u001b"]', "urls"),
        ("urls = [5]", "urls"),
        (f'heartbeat_url = "file:///{SECRET}"', "heartbeat_url"),
        (f'heartbeat_url = "https://hc.example/{SECRET}\\n"', "heartbeat_url"),
        ("heartbeat_url = 5", "heartbeat_url"),
        ("heartbeat_every = 0", "heartbeat_every"),
        ("heartbeat_every = nan", "heartbeat_every"),
        ("order_after = -1", "order_after"),
        ("per_hour = 0", "per_hour"),
        ("per_hour = true", "per_hour"),
        ("per_hour = 1.5", "per_hour"),
        ("url = []", "alerts.url"),
    ],
)
def test_what_cannot_work_is_refused_without_a_secret(cwd, line, key):
    (cwd / "ibkr.toml").write_text(f"[ibkr.alerts]\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert key in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", [f"['{SECRET}']", f"{{url = '{SECRET}'}}"])
def test_the_servers_of_a_fleet_can_have_a_password(cwd, value):
    (cwd / "ibkr.toml").write_text(f"[ibkr.fleet]\nservers = {value}\n")
    with pytest.raises(ConfigError, match="servers") as caught:
        load_config()
    assert SECRET not in str(caught.value)


def test_a_secret_in_a_variable_is_not_shown_either(cwd, monkeypatch):
    monkeypatch.setenv("IBKR_ALERTS_URLS", SECRET)
    with pytest.raises(ConfigError) as caught:
        load_config()
    assert SECRET not in str(caught.value)
    assert "IBKR_ALERTS_URLS" in str(caught.value)
    with pytest.raises(ConfigError):
        AlertSettings(urls=[SECRET])
