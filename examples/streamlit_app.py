"""A Streamlit page: every rerun is a thread of its own, and all share one connection.

``pip install streamlit``, then ``streamlit run streamlit_app.py``; IBKR_PORT names the gateway.
"""

import streamlit as st
from ib_async import Stock

from ibkr import IBConnector, load_config


@st.cache_resource
def connector() -> IBConnector:
    """One for all reruns and visitors, in a thread of its own; it never gives up, and the page does not wait for it."""
    return IBConnector.from_config(load_config()).start_in_thread(background=True)


@st.cache_resource
def ticker(symbol: str):
    """Asked for once; the same object ticks on after every outage."""
    connector().wait_ready(5)
    return connector().call(lambda ib: ib.reqMktData(Stock(symbol, "SMART", "USD", conId=265598)))


st.title("IBKR")
symbol = st.text_input("Symbol", "AAPL")
st.metric(symbol, ticker(symbol).marketPrice())
status = connector().status
(st.success if status.may_trade else st.error)(str(status))
if st.button("Reconnect"):
    connector().reconnect()
st.button("Refresh")
