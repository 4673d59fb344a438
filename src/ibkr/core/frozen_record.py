"""``FrozenRecord``: like ``@dataclass(frozen=True)``, at a tenth of the time to define a class.

A frozen dataclass compiles seven methods for each class. We have many classes, so this took half of our import time.
"""

from __future__ import annotations

from dataclasses import Field, FrozenInstanceError, dataclass, field
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, dataclass_transform

if TYPE_CHECKING:
    from dataclasses import replace as replace
else:

    def replace(value: FrozenRecord, /, **changes: Any) -> FrozenRecord:
        """Like ``dataclasses.replace``, but only for a ``FrozenRecord`` and faster.

        Raises ``TypeError`` in the same cases.
        """
        if not value.__dict__.keys() >= changes.keys():
            names = ", ".join(sorted(changes.keys() - value.__dict__.keys()))
            raise TypeError(f"{type(value).__name__} has no {names}")
        found = object.__new__(type(value))
        found.__dict__.update(value.__dict__ | changes)
        found.check()
        return found


class _Fields:
    """Makes a dataclass of the class when its fields are first read. Most classes never need that."""

    def __get__(self, value: object, cls: type[FrozenRecord]) -> dict[str, Field[Any]]:
        dataclass(init=False, repr=False, eq=False)(cls)  # this replaces this attribute by the fields
        return cls.__dataclass_fields__


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class FrozenRecord:
    """Base class of frozen records. A default from a factory is shared by all instances.

    Raises:
        TypeError: The arguments do not match the fields.
        FrozenInstanceError: A field is set or deleted.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    __match_args__: ClassVar[tuple[str, ...]] = ()
    _names: ClassVar[frozenset[str]] = frozenset()
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        own, given = cls.__annotations__, vars(cls)
        cls.__dataclass_fields__ = _Fields()  # type: ignore[assignment]  # replaced by the fields later
        cls.__match_args__ = tuple(dict.fromkeys((*cls.__match_args__, *own)))  # type: ignore[misc]  # any length
        cls._names = frozenset(cls.__match_args__)
        cls._defaults = cls._defaults | {name: _made(given[name]) for name in own if name in given}

    def __init__(self, *args: Any, **named: Any) -> None:
        names = self.__match_args__
        if not named and len(args) == len(names):
            self.__dict__.update(zip(names, args))  # noqa: B905 - strict= would double the time
            return
        given = dict(zip(names, args, strict=False)) if args else {}
        values = self._defaults | given | named
        if values.keys() != self._names or len(args) > len(names) or (given and given.keys() & named.keys()):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}; not {args} and {named}")
        self.__dict__.update(values)

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple([self.__dict__[name] for name in self.__match_args__]))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({values})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __replace__(self, /, **changes: Any) -> Self:
        """For ``copy.replace``, which uses this method and does not read the fields."""
        return replace(self, **changes)

    def check(self) -> None:
        """Raise an error for invalid values. Called for records that a program may make."""

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


def _made(default: Any) -> Any:
    factory: Any = getattr(default, "default_factory", None)
    return factory() if factory else default


class _Signature:
    """The signature that help and notebooks show."""

    def __get__(self, value: object, cls: type[FrozenRecord]) -> Signature:
        kind, none = Parameter.POSITIONAL_OR_KEYWORD, Parameter.empty
        return Signature([Parameter(name, kind, default=cls._defaults.get(name, none)) for name in cls.__match_args__])


class ValidatedRecord(FrozenRecord):
    """A frozen record that a program may make. It validates itself."""

    if TYPE_CHECKING:
        __signature__: ClassVar[Signature]
    else:  # with an annotation, this would become a field
        __signature__ = _Signature()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.check()
