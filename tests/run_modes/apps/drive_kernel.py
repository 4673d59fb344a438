"""Blocking calls in a handler of ``connectedEvent``, in a real kernel: with ``util.startLoop()`` and without it."""

from textwrap import dedent

import nbclient
import nbformat

from ibkr.simulator import ThreadedGateway

CELLS = (
    """
    from ib_async import Contract, util
    from ibkr import IBConnector, Policy

    connector = IBConnector("127.0.0.1", {port}, 7, policy=Policy(closed_every=0.05, region="none"))
    ib, told = connector.ib, []

    def on_connected():
        try:
            [details] = ib.reqContractDetails(Contract(conId=265598))
            told.append(details.contract.symbol + " " + connector.wait_ready(5).state.name)
        except RuntimeError as error:
            told.append("refused" if "would block the running event loop" in str(error) else repr(error))

    ib.connectedEvent += on_connected
    """,
    "{connect}",
    """
    import asyncio

    while len(told) < 1 or not connector.may_trade:
        await asyncio.sleep(0.01)
    connector.reconnect()
    while len(told) < 2 or not connector.may_trade:
        await asyncio.sleep(0.01)
    await connector.disconnect_async()
    print(told)
    """,
)


def drive(gateway: ThreadedGateway) -> None:
    for connect, told in (
        ("util.startLoop(); _ = connector.connect()", "['AAPL READY', 'AAPL READY']"),
        ("_ = await connector.connect_async()", "['refused', 'refused']"),
    ):
        notebook = nbformat.v4.new_notebook()
        for cell in CELLS:
            source = dedent(cell).replace("{port}", str(gateway.port)).replace("{connect}", connect)
            notebook.cells.append(nbformat.v4.new_code_cell(source))
        nbclient.NotebookClient(notebook, timeout=60).execute()
        printed = "".join(output["text"] for cell in notebook.cells for output in cell.get("outputs", []))
        assert printed == f"{told}\n", printed
