"""Error messages for option values that cannot be used: the value, and what it must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

_REQUIREMENTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "int": lambda limit: "must be a whole number",
    "float": lambda limit: "must be a number, such as 2.5",
    "greater_than_equal": lambda limit: f"must be {limit['ge']:g} or greater",
    "greater_than": lambda limit: f"must be greater than {limit['gt']:g}",
    "less_than_equal": lambda limit: f"must be {limit['le']:g} or less",
    "less_than": lambda limit: f"must be less than {limit['lt']:g}",
    "finite_number": lambda limit: "must be a number, such as 2.5",
}
"""What a value must be, by the type of pydantic's error (typer uses pydantic). Type errors begin with a type's name."""
_CLICK_MESSAGES = {"is not a valid integer": "int", "is not a valid float": "float"}
"""The messages of click, which typer before 0.26 uses."""


class UsageErrorGroup(TyperGroup):
    """A command group that reports wrong option values in our words."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **more: Any) -> Any:
        """Parse the options before the command."""
        try:
            return super().make_context(info_name, args, *rest, **more)
        except typer.BadParameter as error:
            error.message = _message(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Parse the options of the command, and run it."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _message(error)
            raise


def _message(error: typer.BadParameter) -> str:
    """Return our message for an error of pydantic or click, or the error's own message."""
    found = getattr(error.__cause__, "errors", None)
    if callable(found):
        first: dict[str, Any] = found()[0]
        kind = first["type"].removesuffix("_parsing").removesuffix("_type").removesuffix("_from_float")
        requirement = _REQUIREMENTS.get(kind)
        return error.message if requirement is None else f"{first['input']!r}: {requirement(first.get('ctx', {}))}"
    for text, kind in _CLICK_MESSAGES.items():
        value, is_found, _ = error.message.partition(f" {text}")
        if is_found:
            return f"{value}: {_REQUIREMENTS[kind]({})}"
    return error.message
