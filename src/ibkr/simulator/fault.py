"""The registry of faults: name, parameters and one line of doc, read off the methods themselves."""

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")


class FaultError(ValueError):
    """No such fault, or arguments that it does not take; says what to write instead."""


class Recorder(Protocol):
    """Something whose methods are faults; it is told of each one carried out."""

    def recorded(self, name: str) -> None:
        """A fault of this name has been carried out."""


_R = TypeVar("_R", bound=Recorder)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a fault. `kind` is int, float or str; `default` is None if it is required."""

    name: str
    kind: type
    default: object = None
    is_required: bool = True

    def convert(self, value: object) -> object:
        """`value`, or the text for it, as `kind`. Raises `ValueError`."""
        if isinstance(value, str) or self.kind is float:
            return self.kind(value)
        if not isinstance(value, self.kind):
            raise ValueError(f"not {self.kind.__name__}: {value!r}")
        return value


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `method` is the function of `Faults` that carries it out."""

    name: str
    parameters: tuple[Parameter, ...]
    doc: str
    method: Callable[..., None]
    aliases: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """The fault as one writes it on a command line."""
        words = [
            item.name.upper() if item.is_required else f"[{item.name.upper()}={item.default}]"
            for item in self.parameters
        ]
        return " ".join([self.name, *words])

    def arguments(self, given: Sequence[object], named: Mapping[str, object]) -> dict[str, object]:
        """Arguments by name, of their kinds. Raises `FaultError`."""
        if len(given) > len(self.parameters):
            raise FaultError(f"{self.name}: too many arguments, write: {self.usage}")
        names = (item.name for item in self.parameters)
        values = {**dict(zip(names, given, strict=False)), **named}
        for name in values:
            if not any(name == item.name for item in self.parameters):
                raise FaultError(f"{self.name} has no argument {name!r}, write: {self.usage}")
        result: dict[str, object] = {}
        for item in self.parameters:
            if item.name in values:
                try:
                    result[item.name] = item.convert(values[item.name])
                except (TypeError, ValueError):
                    raise FaultError(
                        f"{self.name}: {item.name.upper()} is of kind {item.kind.__name__}, "
                        f"not {values[item.name]!r}; write: {self.usage}"
                    ) from None
            elif item.is_required:
                raise FaultError(f"{self.name}: {item.name.upper()} is missing, write: {self.usage}")
        return result


FAULTS: dict[str, Fault] = {}
"""Every fault by its name."""


def fault(
    *aliases: str,
) -> Callable[[Callable[Concatenate[_R, _P], None]], Callable[Concatenate[_R, _P], None]]:
    """Register a method as the fault of its name; each time it was carried out, it is recorded."""

    def register(
        method: Callable[Concatenate[_R, _P], None],
    ) -> Callable[Concatenate[_R, _P], None]:
        name = method.__name__

        @functools.wraps(method)
        def carried_out(self: _R, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
            method(self, *args, **kwargs)
            self.recorded(name)

        doc = (method.__doc__ or "").strip().splitlines()[0]
        FAULTS[name] = Fault(name, _parameters(method), doc, carried_out, aliases)
        return carried_out

    return register


def find_fault(name: str) -> Fault:
    """The fault of this name or alias. Raises `FaultError` with the nearest names."""
    if name in FAULTS:
        return FAULTS[name]
    for item in FAULTS.values():
        if name in item.aliases:
            return item
    near = difflib.get_close_matches(name, FAULTS, n=3) or sorted(FAULTS)
    raise FaultError(f"no fault {name!r}; perhaps: {', '.join(near)}")


def _parameters(method: Callable[..., None]) -> tuple[Parameter, ...]:
    items = list(inspect.signature(method).parameters.values())[1:]
    return tuple(
        Parameter(
            item.name,
            item.annotation,
            None if item.default is item.empty else item.default,
            item.default is item.empty,
        )
        for item in items
    )
