"""Run examples/notebook.ipynb in a real kernel, and check what its cells print. It has its own gateway."""

from pathlib import Path

import nbclient
import nbformat

from ibkr.simulator import ThreadedGateway


def drive(_: ThreadedGateway) -> None:
    notebook = nbformat.read(Path(__file__).parents[3] / "examples/notebook.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=60).execute()
    printed = "".join(output["text"] for cell in notebook.cells for output in cell.get("outputs", []))
    print(printed)
    for line in (
        "RECONNECTING",
        "outages: 1 price: ",
        "age of the last tick is known: True",
        "positions: 2",
        "stopped",
    ):
        assert line in printed
