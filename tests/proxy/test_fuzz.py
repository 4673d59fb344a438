"""Arbitrary bytes cause no error, and secrets in unknown fields are removed."""

from __future__ import annotations

import json
import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ibkr.proxy.cleaning import Cleaner
from ibkr.proxy.compare import AnswersByName
from ibkr.proxy.connection_parser import ConnectionParser
from ibkr.proxy.message_catalog import GATEWAY_MESSAGES, REQUESTS, identify_message
from ibkr.proxy.message_format import describe_format
from ibkr.proxy.message_ids import replace_ids
from ibkr.proxy.recording_reader import Entry, Header, Recording
from ibkr.proxy.recording_stats import compute_stats
from ibkr.proxy.recording_writer import SUFFIX, Recorder, to_json
from ibkr.proxy.response_script import RecordedAnswer, ResponseScript
from ibkr.wire import encode_fields, frame, hello_bytes, version_frame
from ibkr.wire.frame import PROTOBUF_IDS, binary_id
from ibkr.wire.handshake import ClientHello

VERSIONS = st.sampled_from([100, 157, 178, 200, 201, 213, 226])
IDS = st.sampled_from(
    sorted({layout.message_id for layout in (*GATEWAY_MESSAGES.values(), *REQUESTS.values())} | {0, 300})
)
_TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=12)
FIELDS = st.lists(st.one_of(st.integers(-5, 3).map(str), st.floats().map(str), _TEXTS), max_size=30)


@st.composite
def bodies(draw: st.DrawFn, version: int) -> bytes:
    """Arbitrary bytes, text with a known id and any fields, or protobuf with a known id and any bytes."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.binary(max_size=60))
    number = draw(IDS)
    if kind == 1 and version > 200:
        return binary_id(number + PROTOBUF_IDS) + draw(st.binary(max_size=60))
    head = binary_id(number) if version > 200 else b"%d\0" % number
    return head + "".join(f"{text}\0" for text in draw(FIELDS)).encode("utf-8", "surrogatepass")


@given(st.data(), VERSIONS, st.booleans())
def test_any_body_can_be_cleaned_and_looked_at(data: st.DataObject, version: int, is_request: bool) -> None:
    body = data.draw(bodies(version))
    for keeps_private in (False, True):
        cleaned = Cleaner(keeps_private=keeps_private).clean(body, version, is_request=is_request)
        json.dumps(to_json(cleaned.fields), allow_nan=False)
        if keeps_private:
            assert cleaned.body == body
    describe_format(body, version, is_request=is_request)
    kind = identify_message(body, version, is_request=is_request)
    assert replace_ids(kind, body, version, lambda _, number: number) == body
    replace_ids(kind, body, version, lambda _, number: number + 1)


@given(st.data(), VERSIONS)
def test_any_recording_can_be_read_and_played(data: st.DataObject, version: int) -> None:
    cleaner, entries = Cleaner(), []
    for number in range(data.draw(st.integers(0, 12))):
        is_request = data.draw(st.booleans())
        cleaned = cleaner.clean(data.draw(bodies(version)), version, is_request=is_request)
        fields = None if cleaned.fields is None else to_json(cleaned.fields)
        entries.append(Entry(number / 7, is_request, cleaned.name, fields, cleaned.body))
    header = Header("", "", version, "", None, False)
    recording = Recording(Path("x"), header, entries)
    json.dumps(compute_stats(recording).to_dict())
    script = ResponseScript(recording)
    played = [each for asked in (script.start, *script.requests) for each in asked.answers]
    assert len(played) == sum(not entry.is_request and entry.body is not None for entry in entries)
    AnswersByName.of((RecordedAnswer(0.0, each.name, each.body) for each in played), version)


@given(st.lists(st.binary(max_size=40), max_size=10), st.lists(st.binary(max_size=40), max_size=10))
def test_any_bytes_make_a_conversation(up: list[bytes], down: list[bytes]) -> None:
    conversation = ConnectionParser()
    for data in up:
        conversation.client_sent(data)
    for data in down:
        conversation.take_version(conversation.gateway_sent(data))
    assert isinstance(conversation.failure, str)


async def test_numbers_that_json_does_not_have(tmp_path):
    observation = Recorder(tmp_path).observe()
    observation.client_sent(hello_bytes(ClientHello(157, 178)))
    observation.gateway_sent(version_frame(178, "x") + frame(encode_fields(94, 1, math.inf, -math.inf, 1.5)))
    observation.gateway_sent(frame(b"94\x001\0nan\x001\x001\0"))
    observation.close("over")
    observation.flush()
    [path] = tmp_path.glob(f"*{SUFFIX}")
    first, second = Recording.read(path).entries
    assert first.fields == {"req_id": 1, "daily_pnl": "inf", "unrealized_pnl": "-inf", "realized_pnl": 1.5}
    assert second.fields is not None
    assert second.fields["daily_pnl"] == "nan"
