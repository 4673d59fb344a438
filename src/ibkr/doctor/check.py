"""A check: its name, what it needs, and how it looks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ibkr.core.codes import find
from ibkr.doctor.finding import Finding, Level
from ibkr.doctor.patient import Patient


@dataclass(frozen=True, slots=True)
class Check:
    """``look`` gives the findings; with one of level ``fail`` every check that ``needs`` this one is skipped.

    It may raise ``OSError``, as ``SessionEnded`` is one, when the gateway goes away under it.
    """

    name: str
    about: str
    look: Callable[[Patient], Awaitable[list[Finding]]]
    needs: tuple[str, ...] = ()


def advised(code: int) -> str:
    """What to do about a code of IB's; empty where the catalogue knows nothing."""
    row = find(code)
    return row.advice if row else ""


def ok(check: str, message: str) -> list[Finding]:
    """All is well."""
    return [Finding(check, Level.OK, message)]


def warn(check: str, kind: str, message: str, advice: str) -> list[Finding]:
    """Something to know of, that need not stand in the way."""
    return [Finding(check, Level.WARN, message, kind, advice)]


def fail(check: str, kind: str, message: str, advice: str) -> list[Finding]:
    """This stands in the way of a program that connects."""
    return [Finding(check, Level.FAIL, message, kind, advice)]


def skipped(check: str, why: str) -> list[Finding]:
    """Not looked at, and why."""
    return [Finding(check, Level.SKIPPED, why)]
