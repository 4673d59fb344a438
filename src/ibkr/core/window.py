"""One maintenance window; ``calendar.py`` says when they are."""

from __future__ import annotations

from datetime import datetime

from ibkr.core.value import Value


class Window(Value):
    """One stretch of time in which trouble is expected; aware UTC datetimes."""

    name: str
    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.name} until {self.end:%H:%M} UTC"
