"""A simulated TWS / IB Gateway: a real TCP server that speaks the API's protocol, text and protobuf.

`Gateway` for programs with an event loop, `ThreadedGateway` for those without. `FAULTS` lists what
it can be put through: `await gateway.fault("restart", 2)`.
"""

import logging

from ibkr.simulator.broker.book import Position
from ibkr.simulator.broker.order import Execution, Order
from ibkr.simulator.faults.registry import FAULTS, Fault, FaultError
from ibkr.simulator.gateway import Gateway
from ibkr.simulator.scenarios.scenario import Scenario, ScenarioError, load_scenario, shipped_scenarios
from ibkr.simulator.seen import Seen, SeenRequest, SeenSession
from ibkr.simulator.threaded import ThreadedGateway
from ibkr.simulator.toml import DataError

__all__ = [
    "FAULTS",
    "DataError",
    "Execution",
    "Fault",
    "FaultError",
    "Gateway",
    "Order",
    "Position",
    "Scenario",
    "ScenarioError",
    "Seen",
    "SeenRequest",
    "SeenSession",
    "ThreadedGateway",
    "load_scenario",
    "shipped_scenarios",
]

# The program decides where its logs go; without a handler of its own, ours stay quiet.
logging.getLogger("ibkr.simulator").addHandler(logging.NullHandler())
