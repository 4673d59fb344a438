"""Why can I not connect? A row of checks, from the configuration to the market data, each with what to do.

It never places an order, has client ids of its own, and leaves nothing behind.
"""

from ibkr.doctor.check import Check
from ibkr.doctor.checks import CHECKS
from ibkr.doctor.examination import examine
from ibkr.doctor.finding import Finding, Level
from ibkr.doctor.patient import Patient

__all__ = ["CHECKS", "Check", "Finding", "Level", "Patient", "examine"]
