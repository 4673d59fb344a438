"""Values: what ``@dataclass(frozen=True)`` makes, at a tenth of what it costs to make one.

A frozen dataclass compiles seven methods of its own, and we have so many of them that this was half of our import.
"""

from __future__ import annotations

from dataclasses import Field, FrozenInstanceError, dataclass, field, replace
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, dataclass_transform


class _Fields:
    """Makes a dataclass of a class of values when somebody asks for its fields: those of most are never asked for."""

    def __get__(self, value: object, cls: type[Value]) -> dict[str, Field[Any]]:
        dataclass(init=False, repr=False, eq=False)(cls)  # which puts the fields in this one's place
        return cls.__dataclass_fields__


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Value:
    """Base of a frozen dataclass whose methods are those below. A default made by a factory is the same for all.

    Raises ``TypeError`` for arguments that are not its fields, ``FrozenInstanceError`` when one is set.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    __match_args__: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        own, given = cls.__annotations__, vars(cls)
        cls.__dataclass_fields__ = _Fields()  # type: ignore[assignment]  # it gives way to them
        cls.__match_args__ = tuple(dict.fromkeys((*cls.__match_args__, *own)))  # type: ignore[misc]  # of any length
        cls._defaults = cls._defaults | {name: _made(given[name]) for name in own if name in given}

    def __init__(self, *args: Any, **named: Any) -> None:
        names = self.__match_args__
        if not named and len(args) == len(names):
            self.__dict__.update(zip(names, args))  # noqa: B905 - to say what was just seen doubles the cost
            return
        given = dict(zip(names, args, strict=False))
        values = self._defaults | given | named
        if values.keys() != set(names) or len(args) > len(names) or given.keys() & named.keys():
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

    def __replace__(self, /, **changes: Any) -> Self:
        """For ``copy.replace``, which looks for this and does not ask for the fields."""
        return replace(self, **changes)

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


def _made(default: Any) -> Any:
    factory: Any = getattr(default, "default_factory", None)
    return factory() if factory else default


class _Signature:
    """What help and notebooks show."""

    def __get__(self, value: object, cls: type[Value]) -> Signature:
        kind, none = Parameter.POSITIONAL_OR_KEYWORD, Parameter.empty
        return Signature([Parameter(name, kind, default=cls._defaults.get(name, none)) for name in cls.__match_args__])


class CheckedValue(Value):
    """A value that a program may make; it looks at itself when it is made."""

    if TYPE_CHECKING:
        __signature__: ClassVar[Signature]
    else:  # annotated, it would be a field
        __signature__ = _Signature()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.check()

    def check(self) -> None:
        """Raise for what cannot be."""
