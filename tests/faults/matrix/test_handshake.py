"""Faults before there is a session: port accepted, hello received, version sent, startApi received."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

PHASES = ("connection", "hello", "version", "startApi")


async def test_fault(case: Any, drill: Callable[[Any], Awaitable[None]]) -> None:
    await drill(case)
