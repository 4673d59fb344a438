"""A Streamlit page. Every rerun has its own thread, and all of them share one connection.

``pip install streamlit``, then ``streamlit run streamlit_app.py``. IBKR_PORT is the port of the gateway.
"""

import streamlit as st
from ib_async import Stock

from ibkr import IBConnector, load_config


@st.cache_resource
def connector() -> IBConnector:
    """Return one connector for all reruns and visitors. It has its own thread and never stops trying."""
    return IBConnector.from_config(load_config()).start_in_thread(background=True)


@st.cache_resource
def ticker(symbol: str):
    """Subscribe once. The ticker continues after every outage. Return None if IB knows no such stock, or several."""
    connector().wait_ready(5)
    found = connector().call(lambda ib: ib.qualifyContractsAsync(Stock(symbol, "SMART", "USD")))
    return connector().call(lambda ib: ib.reqMktData(found[0])) if found and found[0] else None


st.title("IBKR")
symbol = st.text_input("Symbol", "AAPL").strip().upper()
shown = ticker(symbol) if symbol else None
if shown is None:
    st.warning(f"IB knows no single stock in USD called {symbol!r}.")
else:
    st.metric(shown.contract.symbol, shown.marketPrice())
status = connector().status
(st.success if status.may_trade else st.error)(str(status))
if st.button("Reconnect"):
    connector().reconnect()
st.button("Refresh")
