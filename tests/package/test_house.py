"""How long a file and a function may be: beyond, a reason stands there, which begins with "Over 300 lines"."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("src", "tests", "bench", "soak", "tools", "examples")
FILES = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
FILE, FUNCTION = 300, 40
Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_long(source: str) -> Iterator[str]:
    """What has more lines than it may, and no word of why."""
    lines = source.splitlines()
    if len(lines) > FILE and f"Over {FILE} lines" not in (ast.get_docstring(ast.parse(source)) or ""):
        yield f"{len(lines)} lines"
    for node in ast.walk(ast.parse(source)) if len(lines) > FUNCTION else ():
        if isinstance(node, Function):
            own = lines[node.lineno - 1 : node.end_lineno]
            if len(own) > FUNCTION and not any(f"ver {FUNCTION} lines" in line for line in own):
                yield f"{node.name}: {len(own)} lines"


def test_nothing_is_longer_than_it_may_be_without_a_reason() -> None:
    assert len(FILES) > 400
    found = {str(file.relative_to(ROOT)): list(too_long(file.read_text(encoding="utf-8"))) for file in FILES}
    assert {name: what for name, what in found.items() if what} == {}


LONG = "def long():\n" + 40 * "    ...\n"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (LONG, ["long: 41 lines"]),
        (f"class Ours:\n    async {LONG.replace('    ', '        ')}", ["long: 41 lines"]),
        (LONG.removesuffix("    ...\n"), []),
        (LONG.replace("...", "...  # Over 40 lines by its table", 1), []),
        (301 * "x = 1\n", ["301 lines"]),
        (300 * "x = 1\n", []),
        ('"""All of it.\n\nOver 300 lines by its docstrings."""\n' + 300 * "x = 1\n", []),
    ],
)
def test_this_test_sees_it(source: str, found: list[str]) -> None:
    assert list(too_long(source)) == found
