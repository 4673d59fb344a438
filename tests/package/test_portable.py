"""Code that needs POSIX is inside a check of the platform.

mypy enforces this for everything in its stubs, because ``make lint`` also checks for Windows and macOS. This test
checks the rest.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ibkr

METHODS = {"add_signal_handler", "remove_signal_handler", "create_unix_server", "create_unix_connection"}
PLACES = ("/tmp", "/dev/", "/etc/", "/proc/", "/var/")
FILES = sorted(Path(ibkr.__file__).parent.rglob("*.py"))


def unguarded(node: ast.AST) -> Iterator[ast.AST]:
    """The code outside ``if sys.platform ...``."""
    if isinstance(node, ast.If) and "sys.platform" in ast.unparse(node.test):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from unguarded(child)


def is_posix(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in METHODS
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(PLACES)


def posix_in(source: str) -> list[str]:
    return [ast.unparse(node) for node in unguarded(ast.parse(source)) if is_posix(node)]


def test_no_file_needs_posix() -> None:
    found = {file.name: posix_in(file.read_text(encoding="utf-8")) for file in FILES}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("loop.add_signal_handler(2, stop)", ["loop.add_signal_handler"]),
        ("if sys.platform != 'win32':\n    loop.add_signal_handler(2, stop)", []),
        ("open('/tmp/x')", ["'/tmp/x'"]),
    ],
)
def test_posix_code_is_found(source: str, found: list[str]) -> None:
    assert posix_in(source) == found
