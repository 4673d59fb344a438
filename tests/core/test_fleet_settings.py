"""The settings of a fleet."""

import pytest

from ibkr.core.errors import ConfigError
from ibkr.core.fleet_settings import Fleet, check_name, gateway_token

SERVERS = "nats://me:secret@10.0.0.1:4222, tls://10.0.0.2:4222"


def test_no_servers_no_fleet():
    assert Fleet().urls == []


def test_servers_are_shown_without_their_secrets():
    fleet = Fleet(SERVERS, name="a")
    assert fleet.urls == ["nats://me:secret@10.0.0.1:4222", "tls://10.0.0.2:4222"]
    assert fleet.shown_servers == "nats://10.0.0.1:4222, tls://10.0.0.2:4222"


def test_no_secret_is_in_the_repr():
    assert repr(Fleet(SERVERS, name="a")) == "Fleet('nats://10.0.0.1:4222, tls://10.0.0.2:4222', name='a')"


def test_the_range_has_its_last_id():
    assert list(Fleet(client_ids="7-9").client_id_range) == [7, 8, 9]


@pytest.mark.parametrize(
    "wrong",
    [
        {"servers": "http://me:secret@host", "name": "a"},
        {"servers": 4222},
        {"servers": " , ", "name": "a"},
        {"servers": SERVERS},
        {"servers": SERVERS, "name": "two words"},
        {"servers": SERVERS, "name": "a.b"},
        {"servers": SERVERS, "name": "a", "gateway": "x.>"},
        {"client_ids": "9-7"},
        {"client_ids": "0-7"},
        {"client_ids": "100"},
        {"client_ids": "1-2147483648"},
        {"lease": 0.5},
        {"lease": True},
        {"lease": float("nan")},
        {"replicas": 2},
        {"tls_cert": "mine.pem"},
        {"name": "a\nb"},
    ],
)
def test_what_cannot_work_is_refused(wrong):
    with pytest.raises(ConfigError) as refused:
        Fleet(**wrong)
    assert refused.value.key.startswith("ibkr.fleet.")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "*", ">", "a.b", "two words", 'a"', "-a"])
def test_a_name_is_one_word(name):
    with pytest.raises(ConfigError, match=r"ibkr\.fleet\.name"):
        check_name(name)


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("127.0.0.1", "alpha/4002"),
        ("localhost", "alpha/4002"),
        ("::1", "alpha/4002"),
        ("10.0.0.5", "10_0_0_5/4002"),
        ("Gateway.example", "gateway_example/4002"),
        ("fe80::1", "fe80=3a==3a=1/4002"),
        ("a_b", "a=5f=b/4002"),
    ],
)
def test_a_gateway_is_one_word(host, word):
    assert gateway_token(Fleet(), host, 4002, "alpha") == word


def test_a_gateway_may_have_a_name():
    assert gateway_token(Fleet(gateway="paper"), "10.0.0.5", 4002, "alpha") == "paper"
