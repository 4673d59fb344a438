"""Faults as the first half of the start-up requests has come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

PHASES = ("reqPositions", "reqOpenOrders", "reqCompletedOrders")


async def test_fault(case: Any, drill: Callable[[Any], Awaitable[None]]) -> None:
    await drill(case)
