"""`Scenario` and `load_scenario`: faults on a timeline, read from TOML.

::

    about = "One line that says what it is."

    [[step]]
    at = 2.5                      # seconds after the scenario began
    fault = "lose_upstream"       # any of FAULTS
    args = { repeats = 3 }        # by name, or in order: args = [3]

Each step has one trigger: `at` a time; `every` interval in seconds (first `at`, or after one interval); `when` a
request arrives, before its answer; `after` the answer to a request. `count = 3` means the third such request since the
scenario began. Requests have the names of ibapi's `EClient`: `when = "reqPositions"`, `after = "placeOrder"`.
"""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ibkr.simulator.faults.fault_registry import Fault, FaultError, find_fault
from ibkr.simulator.requests.request_names import REQUESTS

_SUFFIX = ".toml"
_STEP_KEYS = ("at", "every", "when", "after", "count", "fault", "args")


class ScenarioError(ValueError):
    """A scenario is invalid. The text names file, entry, key, and value, and says what to write instead."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One fault and when it runs: at a time, or at a request. Times are in seconds."""

    name: str
    fault: Fault
    arguments: Mapping[str, object]
    at: float | None = None
    every: float | None = None
    when: str | None = None
    after: str | None = None
    count: int = 1

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Scenario:
    """A list of steps. `about` describes it in one line."""

    name: str
    about: str
    steps: tuple[Step, ...]


def shipped_scenarios() -> list[Scenario]:
    """Return the scenarios of the package, sorted by name."""
    return [_parse(name, file.read_text(encoding="utf-8")) for name, file in sorted(_shipped().items())]


def load_scenario(name: str | Path) -> Scenario:
    """Load a scenario of the package by its name, or from a file.

    Raises:
        ScenarioError: There is no such scenario, or it is invalid.
    """
    shipped = _shipped()
    if (text := str(name)) in shipped:
        return _parse(text, shipped[text].read_text(encoding="utf-8"))
    try:
        content = Path(name).read_text(encoding="utf-8")
    except OSError as error:
        near = difflib.get_close_matches(text, shipped, n=1) or sorted(shipped)
        raise ScenarioError(
            f"{text}: no such scenario, and no file that can be read ({error.strerror}); perhaps: {', '.join(near)}"
        ) from None
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{text}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    return _parse(text, content)


def _shipped() -> dict[str, Any]:
    folder = resources.files("ibkr.simulator") / "scenarios"
    files = [item for item in folder.iterdir() if item.name.endswith(_SUFFIX)]
    return {item.name.removesuffix(_SUFFIX): item for item in files}


def _parse(name: str, content: str) -> Scenario:
    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{name}: not TOML: {error}") from None
    _check_keys(name, table, ("about", "step"))
    about = table.get("about")
    if not isinstance(about, str) or not about.strip():
        raise ScenarioError(f'{name}: about: one line that says what it is, not {about!r}; write: about = "..."')
    entries = table.get("step")
    if not isinstance(entries, list) or not entries:
        raise ScenarioError(f"{name}: step: at least one is needed, not {entries!r}; write: [[step]]")
    return Scenario(Path(name).stem, about, tuple(_Entry(name, i, item).step() for i, item in enumerate(entries, 1)))


def _check_keys(where: str, table: Mapping[str, object], known: Iterable[str]) -> None:
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1) or known
            raise ScenarioError(f"{where}: {key} = {value!r}: no such key; perhaps: {', '.join(near)}")


class _Entry:
    """One `[[step]]` of a file that is being read."""

    def __init__(self, file: str, number: int, table: Any) -> None:
        self._where = f"{file}, step {number}"
        if not isinstance(table, dict):
            raise ScenarioError(f"{self._where}: a table is needed, not {table!r}; write: [[step]]")
        self._table = table

    def step(self) -> Step:
        """Return the step. Raises `ScenarioError` if the entry is invalid."""
        table = self._table
        _check_keys(self._where, table, _STEP_KEYS)
        fault, arguments = self._fault()
        self._check_trigger()
        is_request = "when" in table or "after" in table
        return Step(
            name=f"{self._where}: {fault.name}",
            fault=fault,
            arguments=arguments,
            at=self._seconds("at", 0.0),
            every=self._seconds("every", 0.001),
            when=self._request("when"),
            after=self._request("after"),
            count=self._count(is_request),
        )

    def _fault(self) -> tuple[Fault, dict[str, object]]:
        name, args = self._table.get("fault"), self._table.get("args", [])
        if not isinstance(name, str):
            raise self._error("fault", 'a fault\'s name is needed; write: fault = "reset"')
        if not isinstance(args, list | dict):
            raise self._error("args", "write: args = [2.5], or: args = { seconds = 2.5 }")
        positional, named = (args, {}) if isinstance(args, list) else ([], args)
        try:
            fault = find_fault(name)
        except FaultError as error:
            raise self._error("fault", str(error)) from None
        try:
            return fault, fault.arguments(positional, named)
        except FaultError as error:
            raise self._error("args", str(error)) from None

    def _check_trigger(self) -> None:
        found = [key for key in ("at", "every", "when", "after") if key in self._table]
        if not found:
            text = "at, every, when and after are all missing: write one of them, such as at = 2.5"
            raise ScenarioError(f"{self._where}: {text}")
        if len(found) > 1 and found != ["at", "every"]:
            raise ScenarioError(
                f"{self._where}: {', '.join(found[:-1])} and {found[-1]} cannot be used together: write only one of at,"
                " every, when, after (at can be combined with every), such as at = 2.5"
            )

    def _seconds(self, key: str, least: float) -> float | None:
        value = self._table.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < math.inf:
            raise self._error(key, f"seconds from {least:g} are needed; write: {key} = 2.5")
        return float(value)

    def _request(self, key: str) -> str | None:
        value = self._table.get(key)
        if value is None or value in REQUESTS:
            return value
        near = difflib.get_close_matches(str(value), REQUESTS, n=3) or ["placeOrder", "reqPositions"]
        raise self._error(key, f"no such request; perhaps: {', '.join(near)}")

    def _count(self, is_request: bool) -> int:
        value = self._table.get("count", 1)
        if not is_request and "count" in self._table:
            raise self._error("count", "only steps with when or after count requests; leave it out")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self._error("count", "a number from 1 is needed; write: count = 3")
        return value

    def _error(self, key: str, text: str) -> ScenarioError:
        return ScenarioError(f"{self._where}: {key} = {self._table.get(key)!r}: {text}")
