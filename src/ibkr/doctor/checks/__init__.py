"""``CHECKS``: every check of the doctor, in the order in which they run.

To add a check: write ``_check_something(context)`` and ``SOMETHING = Check("something", ...)`` in the module that fits,
and add it below, after every check that it needs. Add its row to the table in docs/doctor.md, and what it finds to
``STATES`` in tests/doctor/test_states.py.
"""

from __future__ import annotations

from ibkr.doctor.check import Check
from ibkr.doctor.checks.market_data_check import MARKET_DATA
from ibkr.doctor.checks.network_checks import EXPOSURE, NAME, PORT, USUAL_PORTS
from ibkr.doctor.checks.peer_checks import HANDSHAKE, PEER
from ibkr.doctor.checks.session_checks import ACCOUNTS, CLIENT_ID, READ_ONLY, SESSION
from ibkr.doctor.checks.setup_checks import CONFIGURATION, GATEWAY_PROCESS, LIBRARIES, MAINTENANCE
from ibkr.doctor.checks.startup_check import START_UP
from ibkr.doctor.checks.timing_checks import CLOCK, LATENCY
from ibkr.doctor.checks.upstream_checks import FARMS, UPSTREAM

CHECKS: tuple[Check, ...] = (
    CONFIGURATION,
    LIBRARIES,
    GATEWAY_PROCESS,
    NAME,
    PORT,
    USUAL_PORTS,
    PEER,
    HANDSHAKE,
    SESSION,
    CLIENT_ID,
    ACCOUNTS,
    UPSTREAM,
    FARMS,
    START_UP,
    READ_ONLY,
    CLOCK,
    MARKET_DATA,
    LATENCY,
    EXPOSURE,
    MAINTENANCE,
)
