"""Faults after the first half of the start-up requests has arrived."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

pytestmark = pytest.mark.rest  # nearly the same as test_last_answers.py

PHASES = ("reqPositions", "reqOpenOrders", "reqCompletedOrders")


async def test_fault(case: Any, drill: Callable[[Any], Awaitable[None]]) -> None:
    await drill(case)
