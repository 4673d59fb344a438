"""``Check`` and ``Finding``: what a doctor check is, what it reports, and helpers that make findings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from ibkr.core.codes import find
from ibkr.core.serialization import sanitize_text
from ibkr.doctor.context import Context


class Level(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check, and what to do about it.

    ``kind`` is for programs: a failure kind if one fits. If there is no problem, ``kind`` and ``advice`` are empty. The
    runner sets ``check`` to the name of the check.
    """

    level: Level
    message: str
    kind: str = ""
    advice: str = ""
    check: str = ""

    def __post_init__(self) -> None:
        for name in ("message", "advice"):  # both may contain text of the gateway, or of another program at its port
            object.__setattr__(self, name, sanitize_text(getattr(self, name)))

    def to_dict(self) -> dict[str, str]:
        """Return the finding as JSON types."""
        return {
            "check": self.check,
            "level": str(self.level),
            "kind": self.kind,
            "message": self.message,
            "advice": self.advice,
        }


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the doctor.

    ``run`` returns the findings. If one of them has level ``fail``, every check that ``needs`` this check is skipped.
    ``run`` may raise ``OSError`` (``ConnectionEnded`` is one) when the gateway goes away.
    """

    name: str
    title: str
    run: Callable[[Context], Awaitable[list[Finding]]]
    needs: tuple[str, ...] = ()


def ok(message: str) -> list[Finding]:
    """Report that no problem was found."""
    return [Finding(Level.OK, message)]


def warn(kind: str, message: str, advice: str) -> list[Finding]:
    """Report something that a program can work with, but that you should know."""
    return [Finding(Level.WARN, message, kind, advice)]


def fail(kind: str, message: str, advice: str) -> list[Finding]:
    """Report something that prevents a program from connecting or working."""
    return [Finding(Level.FAIL, message, kind, advice)]


def code_advice(code: int) -> str:
    """Return what to do about an IB code, or an empty string if the catalogue has no advice."""
    row = find(code)
    return row.advice if row else ""
