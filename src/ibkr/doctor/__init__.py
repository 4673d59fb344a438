"""The checks behind ``ibkr doctor``: from the configuration to the market data. Each check gives advice.

The doctor places no order, uses its own client ids, and closes everything that it opens.
"""

from ibkr.doctor.check import Check, Finding, Level
from ibkr.doctor.checks import CHECKS
from ibkr.doctor.context import Context
from ibkr.doctor.runner import run_checks

__all__ = ["CHECKS", "Check", "Context", "Finding", "Level", "run_checks"]
