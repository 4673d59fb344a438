"""The error classes: fields, texts, advice."""

import pytest

from ibkr.core import errors
from ibkr.core.errors import ConfigError, ConnectError, Failure, IbkrError, NotReady, connect_error
from ibkr.core.errors import FailureKind as K

TREE = {
    K.UNREACHABLE: (errors.GatewayUnreachable, "Start TWS or IB Gateway and log in"),
    K.SILENT: (errors.GatewaySilent, "an unfinished login"),
    K.CLOSED: (errors.GatewayClosed, "client id 7 may still be held"),
    K.NOT_A_GATEWAY: (errors.NotAGateway, "Another program listens at 127.0.0.1:7497"),
    K.CLIENT_ID_IN_USE: (errors.ClientIdInUse, "Another program is connected with client id 7"),
    K.UNSUPPORTED_VERSION: (errors.UnsupportedVersion, "Update TWS or IB Gateway"),
}


@pytest.mark.parametrize("kind", list(K))
def test_each_kind_has_its_class_fields_and_advice(kind):
    cls, advice = TREE[kind]
    error = connect_error(Failure(kind, "what was seen", looks_like="http"), "127.0.0.1:7497", 7, 3)
    assert type(error) is cls
    assert isinstance(error, (IbkrError, ConnectError))
    assert isinstance(error, ConnectionError)
    assert isinstance(error, TimeoutError) is (kind is K.SILENT)
    assert (error.kind, error.endpoint, error.client_id, error.attempts) == (kind, "127.0.0.1:7497", 7, 3)
    assert error.looks_like == "http"
    assert advice in error.advice
    assert "\n" not in error.advice
    assert "{" not in error.advice
    assert str(error) == f"127.0.0.1:7497: what was seen ({kind}, after 3 attempts). {error.advice}"


def test_one_attempt_is_reported_as_one():
    error = connect_error(Failure(K.CLOSED, "closed"), "[::1]:4002", 0, 1)
    assert str(error).startswith("[::1]:4002: closed (closed, after 1 attempt). ")


def test_kinds_are_the_words_of_the_design():
    words = {"unreachable", "silent", "closed", "not_a_gateway", "client_id_in_use", "unsupported_version"}
    assert {str(kind) for kind in K} == words


def test_a_failure_in_words():
    assert str(Failure(K.NOT_A_GATEWAY, "a web server answers")) == "not_a_gateway: a web server answers"


def test_a_config_error_names_key_value_and_cure():
    error = ConfigError("ibkr.port", 0, "must be from 1 to 65535")
    assert isinstance(error, (IbkrError, ValueError))
    assert (error.key, error.value, error.cure) == ("ibkr.port", 0, "must be from 1 to 65535")
    assert str(error) == "ibkr.port = 0: must be from 1 to 65535"


def test_not_ready_carries_the_status(rig):
    error = NotReady("orders are refused: start-up", rig.status)
    assert isinstance(error, (IbkrError, ConnectionError))
    assert not isinstance(error, ConnectError)
    assert (str(error), error.status) == ("orders are refused: start-up", rig.status)


def test_every_kind_has_its_advice_and_names_what_it_is_about():
    assert "client id 7:" in errors.advice(K.CLIENT_ID_IN_USE, "gw:4002", 7)
    assert "at gw:4002:" in errors.advice(K.NOT_A_GATEWAY, "gw:4002", 7)
    assert all(errors.advice(kind, "gw:4002", 7) for kind in K)


def test_a_host_without_an_address_is_not_told_to_start_tws():
    failure = Failure(K.UNREACHABLE, "the host's name cannot be resolved", unknown_host=True)
    error = connect_error(failure, "gatway:4002", 7, 1)
    assert type(error) is errors.GatewayUnreachable
    assert error.advice.startswith("Look for a typing error in ibkr.host")
    assert "TWS" not in str(error)


def test_the_text_of_an_error_is_printable():
    assert str(IbkrError("a\x1b[31mb\nc")) == "a [31mb c"
    assert str(connect_error(Failure(K.CLOSED, "clo\x07sed"), "a\nb", 0, 1)).startswith("a b: clo sed (closed")
