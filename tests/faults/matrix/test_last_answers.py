"""Faults after the second half of the start-up requests has arrived."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

PHASES = ("reqAccountUpdates", "reqAccountUpdatesMulti", "reqExecutions")


async def test_fault(case: Any, drill: Callable[[Any], Awaitable[None]]) -> None:
    await drill(case)
