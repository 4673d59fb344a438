"""Helpers that the sessions in Python share."""

import logging
from typing import Any


class Kept(logging.Handler):
    """A log handler that keeps the messages."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append((record.levelname, record.getMessage()))


def details(found: Any) -> list[Any]:
    """What the session prints of contract details."""
    contract = found.contract
    return [
        contract.conId,
        contract.symbol,
        contract.primaryExchange,
        contract.tradingClass,
        found.longName,
        found.minTick,
        found.timeZoneId,
    ]
