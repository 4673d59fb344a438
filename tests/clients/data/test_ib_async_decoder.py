"""ib_async's decoder reads what our data layouts encode, with the same values."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibkr.wire import data_messages
from ibkr.wire.layout import Layout

decoder = pytest.importorskip("ib_async.decoder")

# ib_async offers versions 157 to 178. It decodes newer versions of a message if the message has not changed since 178.
CHANGED_LATER = {data_messages.HISTORICAL_DATA.name: 196}
VERSIONS = (157, 176, 178, 187, 193, 200)
UNKNOWN_TO_IT = {data_messages.HISTORICAL_DATA_END.name}


LAYOUTS = [layout for layout in data_messages.LAYOUTS.values() if layout.name not in UNKNOWN_TO_IT]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@settings(max_examples=30)
@given(draw=st.data())
def test_it_hears_what_was_sent(wire: Any, layout: Layout, draw: st.DataObject) -> None:
    limit = CHANGED_LATER.get(layout.name, 1000)
    version = draw.draw(st.sampled_from([version for version in VERSIONS if version < limit]))
    values = draw.draw(wire.values_of(layout.fields))
    heard = wire.RecordingWrapper()
    body = layout.encode(version, **values).decode()
    decoder.Decoder(heard, version).interpret(body.split("\0")[:-1])
    assert heard.values == wire.expected(layout, version, values)
