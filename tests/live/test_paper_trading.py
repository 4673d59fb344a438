"""Section 3 of the specification with a real paper-trading TWS: ``is_connected()`` changes.

The connector is read-only. The test runs only with ``IBKR_LIVE_PORT=7497 pytest -m live``.
"""

from __future__ import annotations

import os

import pytest

from ibkr import IBConnector

PORT = os.environ.get("IBKR_LIVE_PORT", "")

pytestmark = [
    pytest.mark.live,
    pytest.mark.usefixtures("script_loop"),
    pytest.mark.skipif(
        not PORT, reason="IBKR_LIVE_PORT is not set: it names the API port of a paper-trading TWS or IB Gateway"
    ),
]


def test_is_connected_flips() -> None:
    connector = IBConnector("127.0.0.1", int(PORT), client_id=989, readonly=True)
    assert not connector.is_connected()
    try:
        assert connector.connect() is True
        assert connector.is_connected()
        accounts = connector.status.accounts
        assert accounts, repr(connector)
        assert all(account.startswith("D") for account in accounts), (
            "not a paper-trading login: this test leaves it alone"
        )
    finally:
        connector.disconnect()
    assert not connector.is_connected()
