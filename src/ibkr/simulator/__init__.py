"""A simulated TWS / IB Gateway: a TCP server that speaks the API protocol, as text and as protobuf.

Use `Gateway` in a program with an event loop, and `ThreadedGateway` in a program without one. `FAULTS` lists the faults
that you can inject: `await gateway.fault("restart", 2)`. `faults/fault_registry.py` says how to add a fault.
"""

import logging

from ibkr.simulator.activity_log import Seen, SeenRequest, SeenSession
from ibkr.simulator.broker.order import Execution, Order
from ibkr.simulator.broker.portfolio import Position
from ibkr.simulator.data_files import DataError
from ibkr.simulator.faults.fault_registry import FAULTS, Fault, FaultError
from ibkr.simulator.scenarios.scenario import Scenario, ScenarioError, load_scenario, shipped_scenarios
from ibkr.simulator.simulated_gateway import Gateway
from ibkr.simulator.threaded_gateway import ThreadedGateway

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

# The program decides where its logs go. If the program adds no handler, the simulator prints nothing.
logging.getLogger("ibkr.simulator").addHandler(logging.NullHandler())
