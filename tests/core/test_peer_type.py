"""The kind of server, by its first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.core.errors import FailureKind
from ibkr.core.peer_type import non_gateway_failure
from ibkr.wire.handshake import version_frame

OTHERS = {
    b"HTTP/1.0 400 Bad Request\r\n": ("http", "a web server (HTTP)"),
    b"SSH-2.0-OpenSSH_9.2\r\n": ("ssh", "an SSH server"),
    b"\x15\x03\x01\x00\x02\x02F": ("tls", "wants TLS"),
    b"\x16\x03\x03\x00\x7a\x02": ("tls", "wants TLS"),
    b"-ERR wrong number of arguments for 'get' command\r\n": ("unknown", "does not speak the API"),
    b"220 mail.example ESMTP\r\n": ("unknown", "b'220 mail.example'"),
    b"\x00\x00\x12\x04\x00\x00\x00\x00\x00": ("unknown", "does not speak the API"),  # an HTTP/2 server
}


@pytest.mark.parametrize("began", OTHERS)
def test_others_are_named(began):
    looks_like, says = OTHERS[began]
    failure = non_gateway_failure(began)
    assert (failure.kind, failure.looks_like) == (FailureKind.NOT_A_GATEWAY, looks_like)
    assert says in failure.detail


@pytest.mark.parametrize("length", range(1, 30))
def test_a_gateway_is_one_from_its_first_byte_on(length):
    assert non_gateway_failure(version_frame(178, "20261129 10:00:00 EST")[:length]) is None


def test_nothing_says_nothing():
    assert non_gateway_failure(b"") is None


@given(st.binary(max_size=64))
def test_any_bytes_have_an_answer_of_bounded_length(began):
    failure = non_gateway_failure(began)
    assert failure is None or len(failure.detail) < 200
