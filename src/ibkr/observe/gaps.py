"""Gap reports in the log: one line for each outage."""

from __future__ import annotations

import logging

from ibkr.core.gap import GapReport

_logger = logging.getLogger("ibkr.gap")


def tell_gap(report: GapReport) -> None:
    """WARNING where somebody should look, INFO otherwise; the report itself is in ``connector.last_gap``."""
    _logger.log(logging.WARNING if report.needs_a_look else logging.INFO, "After an outage of %s", report)
