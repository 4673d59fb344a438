"""What the sessions in Python tell alike."""

import logging
from typing import Any


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append((record.levelname, record.getMessage()))


def details(found: Any) -> list[Any]:
    """What is told of contract details."""
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
