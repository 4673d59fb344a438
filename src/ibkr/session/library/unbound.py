"""At run time, the subclasses have no base: ``adopt`` puts them in front of the class of the installed library.

For the type checker each one derives from ib_async's class, so that every override is checked against its signature.
"""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

Base = object


def override(method: T) -> T:
    """Mark an override, as ``typing.override`` does from Python 3.12 on."""
    return method
