"""Faults in a READY session, during a recovery, and during a disconnect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

PHASES = ("READY", "recovery", "disconnect")


async def test_fault(case: Any, drill: Callable[[Any], Awaitable[None]]) -> None:
    await drill(case)
