"""What a decoder tells, in the place of a client library's wrapper."""

from __future__ import annotations

from typing import Any


class Heard:
    """Keeps the name and the arguments of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, args))
