"""Values: what ``@dataclass(frozen=True)`` makes, at a tenth of what it costs to make one.

A frozen dataclass compiles seven methods of its own, and we have so many of them that this was half of our import.
"""

from __future__ import annotations

from dataclasses import Field, FrozenInstanceError, dataclass
from typing import Any, ClassVar, NoReturn, dataclass_transform


@dataclass_transform(frozen_default=True)
class Value:
    """Base of a frozen dataclass whose methods are those below; a default is a plain one, never a factory.

    Raises ``TypeError`` for arguments that are not its fields, ``FrozenInstanceError`` when one is set.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    __match_args__: ClassVar[tuple[str, ...]]
    _defaults: ClassVar[dict[str, Any]]

    def __init_subclass__(cls) -> None:
        dataclass(init=False, repr=False, eq=False)(cls)
        cls._defaults = {name: getattr(cls, name) for name in cls.__match_args__ if hasattr(cls, name)}

    def __init__(self, *args: Any, **named: Any) -> None:
        names = self.__match_args__
        if not named and len(args) == len(names):
            self.__dict__.update(zip(names, args))  # noqa: B905 - to say what was just seen doubles the cost
            return
        given = dict(zip(names, args, strict=False))
        values = self._defaults | given | named
        if values.keys() != self.__dataclass_fields__.keys() or len(args) > len(names) or given.keys() & named.keys():
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}; not {args} and {named}")
        self.__dict__.update(values)

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple([self.__dict__[name] for name in self.__match_args__]))

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({told})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


class CheckedValue(Value):
    """A value that looks at itself when it is made."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.check()

    def check(self) -> None:
        """Raise for what cannot be."""
