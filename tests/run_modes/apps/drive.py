"""Run one of the examples with a gateway of its own: ``drive.py NAME``, in the environment of ``make ways``."""

import importlib
import os
import sys
from pathlib import Path

from ibkr.simulator import ThreadedGateway

ROOT = Path(__file__).parents[3]

if __name__ == "__main__":
    name = sys.argv[1]
    sys.path.insert(0, str(ROOT / "examples"))
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    with ThreadedGateway(id_hold=0, tick_interval=0.05) as gateway:
        os.environ["IBKR_PORT"] = str(gateway.port)
        importlib.import_module(f"drive_{name}").drive(gateway)
    print("done")
