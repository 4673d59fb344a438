"""The fault registry: `FAULTS` and the decorator `@fault()`. To add a fault, write one function.

Put the function in the module of its kind: `gateway_faults` (connections, upstream, answers; there it is a method of
`Faults`), `message_faults`, `order_faults`, `stream_faults`, or `timed_faults` (continues by itself):

    @fault()
    def my_fault(faults: FaultContext, message: Message, times: Times = math.inf) -> None:
        '''Do not send messages of this name, this many times.'''
        faults.state.conditions.message_faults[message] = MessageFault(MessageFaultKind.DROP, times)

The CLI, the control port, scenarios, and docs/simulator.md (`make docs`) read the name, the parameters, and the first
line of the docstring from the function. Annotations convert and check the arguments. What the fault sets in
`faults.state.conditions` ends with the fault `clear`. tests/faults/matrix runs the fault in every phase of a
connection; a required parameter needs a row in its file rows.py.
"""

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar, cast, get_args, get_origin

_P = ParamSpec("_P")

MAX_INT = 2**31 - 1
"""The largest integer that a protocol field can hold."""


class FaultError(ValueError):
    """There is no such fault, or an argument is wrong. The text says what to write instead."""


class FaultTarget(Protocol):
    """An object whose methods are faults."""

    def recorded(self, name: str) -> None:
        """Record that a fault was carried out."""


_R = TypeVar("_R", bound=FaultTarget)

Check: TypeAlias = Callable[[Any], str]
"""Returns what is wrong with a value, or "". The text follows the name of the fault in the error."""


def number_from(
    minimum: float, what: str, maximum: float = math.inf, *, allow_infinite: bool = False, integer: bool = False
) -> Check:
    """Return a check for numbers of `what` from `minimum` to `maximum`, by default without infinity."""

    def check(value: float) -> str:
        upper = f" to {maximum:.15g}" if maximum < MAX_INT or maximum < value < math.inf else ""
        is_valid = minimum <= value <= maximum and (
            allow_infinite if value == math.inf else not integer or value == int(value)
        )
        return "" if is_valid else f"{what} from {minimum:g}{upper} are needed, not {value!r}"

    return check


def one_of(known: Collection[str], what: str) -> Check:
    """Return a check for the known names of `what`."""

    def check(value: str) -> str:
        near = difflib.get_close_matches(value, sorted(known), n=3) or sorted(known)[:3]
        return "" if value in known else f"no {what} {value!r}; perhaps: {', '.join(near)}"

    return check


@dataclass(frozen=True, slots=True)
class GatewayCheck:
    """A check that needs the running gateway. It is called with its `Faults` and the value."""

    check: Callable[[Any, Any], str]


Seconds: TypeAlias = Annotated[float, number_from(0, "seconds")]
SecondsOrInfinite: TypeAlias = Annotated[float, number_from(0, "seconds", allow_infinite=True)]
Times: TypeAlias = Annotated[float, number_from(1, "whole times", allow_infinite=True, integer=True)]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a fault. `kind` is int, float, or str. `default` is `None` if the parameter is required.

    `is_duration` means that the value is a duration or a delay in seconds. It is divided by the scenario's speed.
    """

    name: str
    kind: type
    default: object = None
    is_required: bool = True
    check: Check | GatewayCheck | None = None
    is_duration: bool = False

    def problem(self, value: object, gateway: object) -> str:
        """Return what is wrong with a converted value, or "". Without a gateway, skip the checks that need one."""
        if isinstance(self.check, GatewayCheck):
            return "" if gateway is None else self.check.check(gateway, value)
        return self.check(value) if self.check else ""

    def convert(self, value: object) -> object:
        """Convert a value or its text to `kind`. Raises `ValueError` if this is not possible."""
        if isinstance(value, bool):
            raise ValueError(f"not {self.kind.__name__}: {value!r}")
        if isinstance(value, str) or (self.kind is float and isinstance(value, int)):
            return self.kind(value)
        if not isinstance(value, self.kind):
            raise ValueError(f"not {self.kind.__name__}: {value!r}")
        return value


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `method` carries it out, with a `Faults` as its first argument."""

    name: str
    parameters: tuple[Parameter, ...]
    doc: str
    method: Callable[..., None]
    aliases: tuple[str, ...] = ()

    @property
    def usage(self) -> str:
        """The fault as written on a command line."""
        words = [
            item.name.upper() if item.is_required else f"[{item.name.upper()}={item.default}]"
            for item in self.parameters
        ]
        return " ".join([self.name, *words])

    def arguments(
        self, args: Sequence[object], named: Mapping[str, object], gateway: object = None
    ) -> dict[str, object]:
        """Convert and check arguments, and return them by name. `gateway` is a `Faults`.

        Raises `FaultError` if an argument is wrong.
        """
        if len(args) > len(self.parameters):
            raise FaultError(f"{self.name}: too many arguments, write: {self.usage}")
        in_order = dict(zip((item.name for item in self.parameters), args, strict=False))
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

    def scaled_arguments(self, arguments: Mapping[str, object], speed: float) -> dict[str, object]:
        """Return the arguments, with all durations divided by `speed`."""
        lasting = {item.name: arguments.get(item.name, item.default) for item in self.parameters if item.is_duration}
        shorter = {name: seconds / speed for name, seconds in lasting.items() if isinstance(seconds, float)}
        return {**arguments, **shorter}

    def _converted(self, item: Parameter, raw: object, gateway: object) -> object:
        try:
            value = item.convert(raw)
        except (ValueError, OverflowError):
            kind = item.kind.__name__
            raise FaultError(
                f"{self.name}: {item.name.upper()} must be of type {kind}, not {raw!r}; write: {self.usage}"
            ) from None
        if problem := item.problem(value, gateway):
            raise FaultError(f"{self.name}: the value for {item.name.upper()} is wrong: {problem}; write: {self.usage}")
        return value


FAULTS: dict[str, Fault] = {}
"""Every fault by its name."""


def fault(
    *aliases: str, registry: dict[str, Fault] = FAULTS
) -> Callable[[Callable[Concatenate[_R, _P], None]], Callable[Concatenate[_R, _P], None]]:
    """Register a function, or a method of `Faults`, as a fault with its name. Aliases are further names.

    The arguments are converted and checked by their annotations. Each call is recorded. `registry` is the registry of
    the gateway by default; the proxy has its own.
    """

    def register(
        method: Callable[Concatenate[_R, _P], None],
    ) -> Callable[Concatenate[_R, _P], None]:
        name = method.__name__

        @functools.wraps(method)
        def carried_out(self: _R, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
            cast(Callable[..., None], method)(self, **registry[name].arguments(args, kwargs, self))
            self.recorded(name)

        doc = (method.__doc__ or "").strip().partition("\n")[0]  # there is no docstring with 'python -OO'
        registry[name] = Fault(name, _parameters(method), doc, carried_out, aliases)
        return carried_out

    return register


def find_fault(name: str, registry: Mapping[str, Fault] = FAULTS) -> Fault:
    """Return the fault of this name or alias. Raises `FaultError` with similar names."""
    if not isinstance(name, str):
        raise FaultError(f"the name of a fault must be a text, not {name!r}; write: {str(name)!r}")
    if name in registry:
        return registry[name]
    for item in registry.values():
        if name in item.aliases:
            return item
    near = difflib.get_close_matches(name, registry, n=3) or sorted(registry)
    raise FaultError(f"no fault {name!r}; perhaps: {', '.join(near)}")


def _parameters(method: Callable[..., None]) -> tuple[Parameter, ...]:
    return tuple(_parameter(item) for item in list(inspect.signature(method).parameters.values())[1:])


def _parameter(item: inspect.Parameter) -> Parameter:
    is_checked = get_origin(item.annotation) is Annotated
    kind, check = get_args(item.annotation) if is_checked else (item.annotation, None)
    is_required = item.default is item.empty
    default = None if is_required else item.default
    return Parameter(item.name, kind, default, is_required, check, item.annotation in (Seconds, SecondsOrInfinite))
