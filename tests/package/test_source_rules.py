"""Rules for the source code: lengths, private attributes and clocks in tests, and installation advice.

A file or function that is longer than allowed states its reason: for example, "This file has over 300 lines because
...".
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("src", "tests", "bench", "soak", "tools", "examples")
FILES = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
FILE, FUNCTION = 300, 40
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def nodes(source: str) -> list[Any]:
    """All nodes of the syntax tree. The first node is the module."""
    return list(ast.walk(ast.parse(source)))


def too_long(source: str) -> Iterator[str]:
    """Yield what is longer than allowed and gives no reason."""
    lines = source.splitlines()
    if len(lines) > FILE and f"ver {FILE} lines" not in (ast.get_docstring(nodes(source)[0]) or ""):
        yield f"{len(lines)} lines"
    for node in nodes(source) if len(lines) > FUNCTION else ():
        if isinstance(node, Function):
            own = lines[node.lineno - 1 : node.end_lineno]
            if len(own) > FUNCTION and not any(f"ver {FUNCTION} lines" in line for line in own):
                yield f"{node.name}: {len(own)} lines"


def test_nothing_is_longer_than_it_may_be_without_a_reason() -> None:
    assert all(any(file.is_relative_to(ROOT / room) for file in FILES) for room in ROOMS)
    found = {str(file.relative_to(ROOT)): list(too_long(file.read_text(encoding="utf-8"))) for file in FILES}
    assert {name: what for name, what in found.items() if what} == {}


LONG = "def long():\n" + 40 * "    ...\n"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (LONG, ["long: 41 lines"]),
        (f"class Ours:\n    async {LONG.replace('    ', '        ')}", ["long: 41 lines"]),
        (LONG.removesuffix("    ...\n"), []),
        (LONG.replace("...", "...  # This function has over 40 lines because of its table", 1), []),
        (301 * "x = 1\n", ["301 lines"]),
        (300 * "x = 1\n", []),
        ('"""All of it.\n\nThis file has over 300 lines because of its docstrings."""\n' + 300 * "x = 1\n", []),
    ],
)
def test_too_long_code_is_found(source: str, found: list[str]) -> None:
    assert list(too_long(source)) == found


TESTS = [file for file in FILES if file.is_relative_to(ROOT / "tests") and file.name != "internals.py"]
CLOCKS = {"monotonic", "perf_counter", "time"}


def private_uses(source: str) -> Iterator[str]:
    """Private attributes of a connector that are used here."""
    for node in nodes(source):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = ast.unparse(node.value)
            if owner.rpartition(".")[2] in ("connector", "trading"):
                yield f"{owner}.{node.attr}"


def upper_limits(source: str) -> Iterator[str]:
    """Yield assertions that a time read from a clock is below a limit. On a busy machine, such assertions fail."""
    for node in nodes(source):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare):
            first, *_ = node.test.ops
            is_duration = isinstance(node.test.left, ast.BinOp) and any(map(_is_clock, ast.walk(node.test.left)))
            if is_duration and isinstance(first, ast.Lt | ast.LtE):
                yield ast.unparse(node.test)


def _is_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS


def test_tests_use_the_inside_of_a_connector_through_one_module_only() -> None:
    found = {str(file.relative_to(ROOT)): [*private_uses(file.read_text(encoding="utf-8"))] for file in TESTS}
    assert {name: what for name, what in found.items() if what} == {}, "use tests/internals.py"
    assert [*private_uses("one.connector._session.gaps, connector.status, self._connector")] == [
        "one.connector._session"
    ]


def test_tests_compare_an_upper_limit_with_the_stopwatch() -> None:
    found = {str(file.relative_to(ROOT)): [*upper_limits(file.read_text(encoding="utf-8"))] for file in TESTS}
    assert {name: what for name, what in found.items() if what} == {}, "use the fixture stopwatch"
    assert [*upper_limits("assert time.monotonic() - began < 2\nassert time.monotonic() - began > 2")] == [
        "time.monotonic() - began < 2"
    ]


def test_no_advice_installs_a_name_from_an_index_that_is_not_ours() -> None:
    """Anybody could register that name, and their code would run."""
    rooms = [ROOT / room for room in ("src", "docs", "examples", "deploy")]
    files = [file for room in rooms for file in room.rglob("*") if file.suffix in (".py", ".md", ".toml", ".ipynb")]
    files += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    advice = re.compile(r"(?:pip3?|uv|pipx|poetry)\s+(?:pip\s+)?(?:install|add)\s[^\n]*\bibkr[-_]connector\b(?!-\*)")
    found = [f"{file.relative_to(ROOT)}: {line}" for file in files for line in advice.findall(_text(file))]
    assert found == []
    assert advice.search('pip install "ibkr-connector[serve]"')


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
