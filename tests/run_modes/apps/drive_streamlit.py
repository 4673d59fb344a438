"""Rerun examples/streamlit_app.py as a browser does, while its gateway stops and starts again."""

import time
from pathlib import Path

import streamlit as st
from streamlit.testing.v1 import AppTest

from ibkr.simulator import ThreadedGateway


def drive(gateway: ThreadedGateway) -> None:
    page = AppTest.from_file(Path(__file__).parents[3] / "examples/streamlit_app.py", default_timeout=30).run()
    assert not page.exception, page.exception
    assert page.success[0].value.startswith("READY"), page
    for _ in range(3):
        page.button[1].click().run()
    assert gateway.seen.connects == 1, "reruns share one connection"
    page.text_input[0].set_value("msft").run()
    assert page.metric[0].label == "MSFT"
    gateway.wait_for(lambda gateway: len(gateway.seen.received("reqMktData")) == 2)
    asked = [each.fields[4] for each in gateway.seen.received("reqMktData")]
    assert asked == ["AAPL", "MSFT"], "each symbol is asked for as what it is"
    page.text_input[0].set_value("NOSUCH").run()
    assert "NOSUCH" in page.warning[0].value
    assert not page.exception, page.exception
    gateway.fault("restart", 0.5)
    seen = []
    deadline = time.monotonic() + 10
    while not (seen and page.success):
        assert time.monotonic() < deadline, page
        page.button[1].click().run()
        assert not page.exception, page.exception
        seen += [error.value for error in page.error]
    assert seen[0].startswith("RECONNECTING"), seen
    page.button[0].click().run()
    gateway.wait_for(lambda gateway: gateway.seen.connects >= 3)
    st.cache_resource.clear()
