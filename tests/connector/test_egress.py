"""What we write in the library's place is what the library writes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async import IB, Forex, Option, Stock, TagValue
from ibkr.session.egress import sender_of

OPTION = Option("SPY", "20261218", 450.0, "C", "SMART")
FIELDS = st.one_of(
    st.integers(),
    st.sampled_from([2**31 - 1, 1.7976931348623157e308, math.inf, -math.inf, math.nan, 0.0, -0.0, None, True, False]),
    st.floats(),
    st.text(),
    st.lists(st.builds(TagValue, st.text(), st.text()), max_size=3),
    st.integers(0, 2).map([Stock("AAPL", "SMART", "USD"), Forex("EURUSD"), OPTION].__getitem__),
    st.decimals(allow_nan=False),
)


@given(st.lists(FIELDS), st.booleans())
def test_every_field_is_written_as_the_library_does(fields: list[Any], make_empty: bool) -> None:
    client = IB().client
    client.isConnected = lambda: True
    written: list[str] = []
    client.sendMsg = written.append
    client.send(*fields, makeEmpty=make_empty)
    sender_of(client)(*fields, makeEmpty=make_empty)
    del client.isConnected  # the library disconnects what it takes for connected when it is collected
    assert written[0] == written[1]


def test_without_a_session_nothing_is_sent() -> None:
    with pytest.raises(ConnectionError, match="Not connected"):
        sender_of(IB().client)(49, 1)
