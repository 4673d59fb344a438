"""Our encoder writes each field exactly as the client library does."""

from __future__ import annotations

import math
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ib_async import IB, Forex, Option, Stock, TagValue

from ibkr import IBConnector

OURS = IBConnector("127.0.0.1", 7497, 1)
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
    written = [_written(client, fields, make_empty) for client in (IB().client, OURS.ib.client)]
    assert written[0] == written[1]


def test_without_a_session_nothing_is_sent() -> None:
    with pytest.raises(ConnectionError, match="Not connected"):
        OURS.ib.client.send(49, 1)


def _written(client: Any, fields: list[Any], make_empty: bool) -> str:
    """The bytes that are passed on to be sent."""
    written: list[str] = []
    with patch.multiple(client, isConnected=lambda: True, sendMsg=written.append):
        client.send(*fields, makeEmpty=make_empty)
    return written[0]
