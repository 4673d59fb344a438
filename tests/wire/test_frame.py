"""Framing: every split of a stream gives the same bodies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibkr.wire import MAX_FRAME, MAX_FRAME_BEFORE_HANDSHAKE, FrameReader, FrameTooLong, frame

bodies = st.lists(st.binary(max_size=40), max_size=12)


def test_a_frame_is_a_big_endian_length_and_the_body() -> None:
    assert frame(b"71\0") == b"\0\0\0\x0371\0"
    assert frame(b"") == b"\0\0\0\0"


def test_limits_are_those_of_the_protocol() -> None:
    assert MAX_FRAME_BEFORE_HANDSHAKE == 2**20
    assert MAX_FRAME == 2**24
    assert FrameReader().limit == MAX_FRAME


@given(bodies)
def test_every_split_in_two_gives_the_same_bodies(expected: list[bytes]) -> None:
    stream = b"".join(map(frame, expected))
    for cut in range(len(stream) + 1):
        reader = FrameReader()
        assert reader.feed(stream[:cut]) + reader.feed(stream[cut:]) == expected
        assert reader.pending == 0


@given(bodies, st.lists(st.integers(1, 9), min_size=1), st.binary(max_size=3))
def test_any_pieces_give_the_same_bodies(expected: list[bytes], sizes: list[int], tail: bytes) -> None:
    stream, reader, found = b"".join(map(frame, expected)) + tail, FrameReader(), []
    while stream:
        for size in sizes:
            found += reader.feed(stream[:size])
            stream = stream[size:]
    assert found == expected
    assert reader.pending == len(tail)


class CountingReader(FrameReader):
    """Counts how often the pieces so far are joined."""

    joined = 0

    def _split(self, data: bytes) -> list[bytes]:
        self.joined += 1
        return super()._split(data)


def test_a_long_frame_in_pieces_is_kept_until_it_is_whole() -> None:
    reader, body = CountingReader(), bytes(range(256)) * 40
    stream = frame(body)
    for start in range(0, len(stream) - 1, 100):
        last = min(start + 100, len(stream) - 1)
        assert reader.feed(stream[start:last]) == []
        assert reader.pending == last
    assert reader.feed(stream[-1:] + frame(b"next")) == [body, b"next"]
    assert reader.joined == 2, "once for its prefix, once for the whole: not once for each piece"


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_limit_is_the_longest_body_taken(length: int, limit: int) -> None:
    reader = FrameReader(limit)
    if length <= limit:
        assert reader.feed(frame(b"x" * length)) == [b"x" * length]
    else:
        with pytest.raises(FrameTooLong) as caught:
            reader.feed(frame(b"x" * length))
        assert (caught.value.length, caught.value.limit) == (length, limit)


def test_too_long_is_reported_at_the_prefix_and_nothing_of_it_is_kept() -> None:
    reader = FrameReader(limit=1000)
    with pytest.raises(FrameTooLong) as caught:
        reader.feed(frame(b"a") + frame(b"b") + b"\x7f\xff\xff\xff" + b"junk" * 100_000)
    assert caught.value.frames == (b"a", b"b")
    assert caught.value.length == 0x7FFFFFFF
    assert reader.pending <= 4


def test_http_read_as_a_frame_is_too_long() -> None:
    with pytest.raises(FrameTooLong, match="does not speak the TWS API"):
        FrameReader().feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_lost_stream_stays_lost() -> None:
    reader = FrameReader(limit=10)
    for data in (b"\xff\xff\xff\xff", frame(b"fine"), b""):
        with pytest.raises(FrameTooLong):
            reader.feed(data)
        assert reader.pending <= 8


def test_a_changed_limit_holds_from_the_next_feed_on() -> None:
    reader = FrameReader(limit=10)
    assert reader.feed(frame(b"small")) == [b"small"]
    reader.limit = 100
    assert reader.feed(frame(b"x" * 50)) == [b"x" * 50]
    reader.limit = 10
    with pytest.raises(FrameTooLong):
        reader.feed(frame(b"x" * 50))
