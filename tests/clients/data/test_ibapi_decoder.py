"""The official client's decoder reads what our data layouts encode, with the same values.

The test uses the installed ibapi: 9.81 (up to version 157), or nautilus-ibapi, which is 10.46.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibkr.wire import data_messages
from ibkr.wire.layout import Layout
from tests.clients import official

pytestmark = pytest.mark.ibapi

IS_OLD = official.is_old()
VERSIONS = official.versions(157, 176, 178, 187, 193, 200, 201, 206, 208, 209, 210, 212, 213, 225, 226)
UNKNOWN_TO_THE_OLD = {
    "historicalSchedule",
    "userInfo",
    "wshMetaData",
    "wshEventData",
    "historicalDataEnd",
    "replaceFAEnd",
}


# From 10.50 on, the clients have no fundamental data.
UNKNOWN = (
    UNKNOWN_TO_THE_OLD if IS_OLD else set() if official.has_fundamentals() else {data_messages.FUNDAMENTAL_DATA.name}
)

LAYOUTS = [layout for layout in data_messages.LAYOUTS.values() if layout.name not in UNKNOWN]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@settings(max_examples=60)
@given(draw=st.data())
def test_it_hears_what_was_sent(wire: Any, layout: Layout, draw: st.DataObject) -> None:
    version = draw.draw(st.sampled_from(VERSIONS))
    values = draw.draw(wire.values_of(layout.fields))
    heard = wire.RecordingWrapper()
    official.interpret(heard, version, layout.encode(version, **values))
    assert heard.values == wire.expected(layout, version, values)
