"""A simulated TWS / IB Gateway: a real TCP server that speaks the API's text protocol.

`Gateway` for programs with an event loop, `ThreadedGateway` for those without. `FAULTS` lists what
it can be put through: `await gateway.fault("restart", 2)`.
"""

import logging

from ibkr.simulator.fault import FAULTS, Fault, FaultError
from ibkr.simulator.gateway import Gateway
from ibkr.simulator.seen import Seen, SeenRequest, SeenSession
from ibkr.simulator.threaded import ThreadedGateway

__all__ = [
    "FAULTS",
    "Fault",
    "FaultError",
    "Gateway",
    "Seen",
    "SeenRequest",
    "SeenSession",
    "ThreadedGateway",
]

# The program decides where its logs go; without a handler of its own, ours stay quiet.
logging.getLogger("ibkr.simulator").addHandler(logging.NullHandler())
