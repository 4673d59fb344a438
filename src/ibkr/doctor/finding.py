"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has found, and what to do about it.

    ``kind`` is for programs: a kind of the errors where there is one for it; empty when all is well, as ``advice`` is.
    """

    check: str
    level: Level
    message: str
    kind: str = ""
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """The finding in JSON's types."""
        return {
            "check": self.check,
            "level": str(self.level),
            "kind": self.kind,
            "message": self.message,
            "advice": self.advice,
        }
