"""The registry of faults: name, parameters and one line of doc, read off the methods themselves."""

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar, cast, get_args, get_origin

_P = ParamSpec("_P")

MOST = 2**31 - 1
"""The largest number that a field of the protocol holds."""


class FaultError(ValueError):
    """No such fault, or arguments that it does not take; says what to write instead."""


class Recorder(Protocol):
    """Something whose methods are faults; it is told of each one carried out."""

    def recorded(self, name: str) -> None:
        """A fault of this name has been carried out."""


_R = TypeVar("_R", bound=Recorder)

Check: TypeAlias = Callable[[Any], str]
"""What is wrong with a value in words that go behind the fault's name, or ""."""


def number_from(
    least: float, what: str, most: float = math.inf, *, endless: bool = False, whole: bool = False
) -> Check:
    """A check for numbers of `what` from `least` to `most`; infinity only where it is `endless`."""

    def check(value: float) -> str:
        upward = f" to {most:.15g}" if most < MOST or most < value < math.inf else ""
        is_fine = least <= value <= most and (endless if value == math.inf else not whole or value == int(value))
        return "" if is_fine else f"{what} from {least:g}{upward} are needed, not {value!r}"

    return check


def one_of(known: Collection[str], what: str) -> Check:
    """A check for the names of `what` that there are."""

    def check(value: str) -> str:
        near = difflib.get_close_matches(value, sorted(known), n=3) or sorted(known)[:3]
        return "" if value in known else f"no {what} {value!r}; perhaps: {', '.join(near)}"

    return check


@dataclass(frozen=True, slots=True)
class ByGateway:
    """A check that needs the running gateway, whose `Faults` it is given with the value."""

    check: Callable[[Any, Any], str]


Seconds: TypeAlias = Annotated[float, number_from(0, "seconds")]
Endless: TypeAlias = Annotated[float, number_from(0, "seconds", endless=True)]
Times: TypeAlias = Annotated[float, number_from(1, "whole times", endless=True, whole=True)]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a fault. `kind` is int, float or str; `default` is None if it is required.

    `is_duration`: for so many seconds something lasts, or comes later.
    """

    name: str
    kind: type
    default: object = None
    is_required: bool = True
    check: Check | ByGateway | None = None
    is_duration: bool = False

    def complaint(self, value: object, gateway: object) -> str:
        """What is wrong with a converted value, or "". Without a gateway, only what is wrong for each of them."""
        if isinstance(self.check, ByGateway):
            return "" if gateway is None else self.check.check(gateway, value)
        return self.check(value) if self.check else ""

    def convert(self, value: object) -> object:
        """`value`, or the text for it, as `kind`. Raises `ValueError`."""
        if isinstance(value, bool):
            raise ValueError(f"not {self.kind.__name__}: {value!r}")
        if isinstance(value, str) or (self.kind is float and isinstance(value, int)):
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

    def arguments(
        self, given: Sequence[object], named: Mapping[str, object], gateway: object = None
    ) -> dict[str, object]:
        """Arguments by name, of their kinds; `gateway` is the `Faults` that they are for. Raises `FaultError`."""
        if len(given) > len(self.parameters):
            raise FaultError(f"{self.name}: too many arguments, write: {self.usage}")
        in_order = dict(zip((item.name for item in self.parameters), given, strict=False))
        for name in in_order.keys() & named.keys():
            raise FaultError(f"{self.name}: {name.upper()} is given twice, write: {self.usage}")
        values = {**in_order, **named}
        for name in values:
            if not any(name == item.name for item in self.parameters):
                raise FaultError(f"{self.name} has no argument {name!r}, write: {self.usage}")
        result: dict[str, object] = {}
        for item in self.parameters:
            if item.name in values:
                result[item.name] = self._converted(item, values[item.name], gateway)
            elif item.is_required:
                raise FaultError(f"{self.name}: {item.name.upper()} is missing, write: {self.usage}")
        return result

    def at_speed(self, arguments: Mapping[str, object], speed: float) -> dict[str, object]:
        """These arguments, and defaults, where time runs so many times as fast: what lasts, lasts shorter."""
        lasting = {item.name: arguments.get(item.name, item.default) for item in self.parameters if item.is_duration}
        shorter = {name: seconds / speed for name, seconds in lasting.items() if isinstance(seconds, float)}
        return {**arguments, **shorter}

    def _converted(self, item: Parameter, given: object, gateway: object) -> object:
        try:
            value = item.convert(given)
        except (ValueError, OverflowError):
            kind = item.kind.__name__
            raise FaultError(
                f"{self.name}: {item.name.upper()} is of kind {kind}, not {given!r}; write: {self.usage}"
            ) from None
        if complaint := item.complaint(value, gateway):
            raise FaultError(f"{self.name}: {complaint}, as {item.name.upper()}; write: {self.usage}")
        return value


FAULTS: dict[str, Fault] = {}
"""Every fault by its name."""


def fault(
    *aliases: str,
) -> Callable[[Callable[Concatenate[_R, _P], None]], Callable[Concatenate[_R, _P], None]]:
    """Register a method, or a function of `Faults`, as the fault of its name.

    Its arguments are converted and checked by their annotations, however it is called; each time it was carried out,
    it is recorded.
    """

    def register(
        method: Callable[Concatenate[_R, _P], None],
    ) -> Callable[Concatenate[_R, _P], None]:
        name = method.__name__

        @functools.wraps(method)
        def carried_out(self: _R, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
            cast(Callable[..., None], method)(self, **FAULTS[name].arguments(args, kwargs, self))
            self.recorded(name)

        doc = (method.__doc__ or "").strip().partition("\n")[0]  # none with 'python -OO'
        FAULTS[name] = Fault(name, _parameters(method), doc, carried_out, aliases)
        return carried_out

    return register


def find_fault(name: str) -> Fault:
    """The fault of this name or alias. Raises `FaultError` with the nearest names."""
    if not isinstance(name, str):
        raise FaultError(f"a fault's name is a text, not {name!r}; write: {str(name)!r}")
    if name in FAULTS:
        return FAULTS[name]
    for item in FAULTS.values():
        if name in item.aliases:
            return item
    near = difflib.get_close_matches(name, FAULTS, n=3) or sorted(FAULTS)
    raise FaultError(f"no fault {name!r}; perhaps: {', '.join(near)}")


def _parameters(method: Callable[..., None]) -> tuple[Parameter, ...]:
    return tuple(_parameter(item) for item in list(inspect.signature(method).parameters.values())[1:])


def _parameter(item: inspect.Parameter) -> Parameter:
    is_checked = get_origin(item.annotation) is Annotated
    kind, check = get_args(item.annotation) if is_checked else (item.annotation, None)
    is_required = item.default is item.empty
    default = None if is_required else item.default
    return Parameter(item.name, kind, default, is_required, check, item.annotation in (Seconds, Endless))
