"""The first bytes, from both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.wire import (
    BadHello,
    ClientHello,
    FrameReader,
    Opening,
    classify_opening,
    decode_fields,
    hello_bytes,
    parse_hello,
    version_frame,
)

versions = st.integers(0, 99_999)
options = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)
hellos = st.builds(ClientHello, versions, versions, options)
times = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), max_size=60)


class TestHello:
    def test_what_ibapi_sends(self) -> None:
        data = b"API\0\0\0\0\tv100..157"
        assert parse_hello(data) == (ClientHello(100, 157), len(data))
        assert hello_bytes(ClientHello(100, 157)) == data

    def test_with_connect_options(self) -> None:
        hello = ClientHello(157, 178, "+PACEAPI")
        assert parse_hello(b"API\0\0\0\0\x12v157..178 +PACEAPI") == (hello, 26)

    def test_one_version_instead_of_a_range(self) -> None:
        assert parse_hello(b"API\0\0\0\0\x04v100") == (ClientHello(100, 100), 12)

    @given(hellos, st.binary(max_size=20))
    def test_any_hello_at_any_length(self, hello: ClientHello, rest: bytes) -> None:
        data = hello_bytes(hello)
        for end in range(len(data)):
            assert parse_hello(data[:end]) is None
        assert parse_hello(data + rest) == (hello, len(data))

    @pytest.mark.parametrize(
        "data",
        [
            b"GET / HTTP/1.1\r\n",
            b"63\0" + b"7\0",
            b"API\0\0\0\0\0",
            b"API\0\0\0\x04\x01" + b"v" * 1025,
            b"API\0\xff\xff\xff\xff",
            b"API\0\0\0\0\x04v1..",
            b"API\0\0\0\0\x05hello",
        ],
    )
    def test_what_no_api_client_sends_is_refused(self, data: bytes) -> None:
        with pytest.raises(BadHello):
            parse_hello(data)

    @given(st.binary(max_size=64))
    def test_nothing_but_bad_hello_is_raised(self, data: bytes) -> None:
        for start in (b"", b"API\0", b"API\0\0\0\0\x08"):
            try:
                parsed = parse_hello(start + data)
            except BadHello:
                continue
            assert parsed is None or parsed[1] <= len(start + data)


class TestVersionFrame:
    def test_bytes(self) -> None:
        assert version_frame(178, "20250425 15:23:54 EST") == b"\0\0\0\x1a178\x0020250425 15:23:54 EST\0"

    @given(versions, times)
    def test_two_fields_and_no_message_id(self, version: int, time: str) -> None:
        (body,) = FrameReader().feed(version_frame(version, time))
        assert decode_fields(body) == [str(version), time]


class TestClassifyOpening:
    @given(versions, times.filter(lambda text: len(text.encode()) < 1000))
    def test_a_gateway_at_every_length(self, version: int, time: str) -> None:
        data = version_frame(version, time)
        for end in range(len(data) + 1):
            expected = Opening.PARTIAL if end <= 4 else Opening.GATEWAY
            assert classify_opening(data[:end]) is expected

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"HTTP/1.1 400 Bad Request\r\n", Opening.HTTP),
            (b"HTTP/", Opening.HTTP),
            (b"HTTP", Opening.PARTIAL),
            (b"H", Opening.PARTIAL),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Opening.SSH),
            (b"SSH-", Opening.SSH),
            (b"SSH", Opening.PARTIAL),
            (b"HTML", Opening.UNKNOWN),
            (b"SMTP", Opening.UNKNOWN),
            (b"220 mail ready\r\n", Opening.UNKNOWN),
            (b"-ERR unknown command\r\n", Opening.UNKNOWN),
            (b"\x15\x03\x01\x00\x02\x02\x46", Opening.UNKNOWN),
            (b"\x7f\xff\xff\xff", Opening.UNKNOWN),
            (b"\x7f", Opening.UNKNOWN),
            (b"", Opening.PARTIAL),
            (b"\0\0\x04", Opening.PARTIAL),
            (b"\0\0\x05", Opening.UNKNOWN),
            (b"\0\0\x04\x01", Opening.UNKNOWN),
            (b"\0\0\0\0", Opening.UNKNOWN),
            (b"\0\0\0\x01", Opening.UNKNOWN),
            (b"\0\0\0\x02", Opening.PARTIAL),
            (b"\0\0\0\x021\0", Opening.GATEWAY),
            (b"\0\0\0\x0212", Opening.UNKNOWN),
            (b"\0\0\0\x02\0\0", Opening.UNKNOWN),
            (b"\0\0\0\x1a178 ", Opening.UNKNOWN),
            (b"\0\0\0\x1ahello", Opening.UNKNOWN),
            (b"\0\0\x04\x00178\0", Opening.GATEWAY),
        ],
    )
    def test_examples(self, data: bytes, expected: Opening) -> None:
        assert classify_opening(data) is expected

    @given(st.binary(max_size=64))
    def test_total_and_partial_only_of_a_beginning(self, data: bytes) -> None:
        for start in (b"", b"HT", b"SS", b"\0\0\0\x10", b"\0\0\0\x10178"):
            whole = start + data
            assert classify_opening(whole) is not Opening.PARTIAL or len(whole) <= 4

    @given(st.binary(max_size=64))
    def test_only_partial_and_gateway_may_change_with_more_bytes(self, data: bytes) -> None:
        final: Opening | None = None
        for end in range(len(data) + 1):
            found = classify_opening(data[:end])
            assert final in (None, found)
            if found not in (Opening.PARTIAL, Opening.GATEWAY):
                final = found
