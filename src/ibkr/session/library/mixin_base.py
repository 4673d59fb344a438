"""The base class of the overrides. At run time it is ``object``; ``adopt`` puts an override before the library's class.

For the type checker, each override derives from ib_async's class, so that its signature is checked.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

Base = object


def override(method: T) -> T:
    """Mark an override, as ``typing.override`` does from Python 3.12 on."""
    return method
