"""A client library's wrapper that records what a decoder calls."""

from __future__ import annotations

from typing import Any


class RecordingWrapper:
    """Records the name and the arguments of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.calls.append((name, args))
