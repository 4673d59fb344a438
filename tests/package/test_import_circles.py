"""No import circles in these packages: not behind TYPE_CHECKING either, and not inside functions."""

import ast
import graphlib
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
PACKAGES = ("ibkr.simulator",)


def imports_of(source: str) -> set[str]:
    """The full name of everything that is imported anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write absolute imports"
            found |= {node.module or "", *(f"{node.module}.{item.name}" for item in node.names)}
    return found


def check(sources: dict[str, str]) -> None:
    """Raises `graphlib.CycleError` if modules import one another in a circle. A package is not counted as a module."""
    graph = {name: imports_of(source) & sources.keys() - {name} for name, source in sources.items()}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("package", PACKAGES)
def test_there_are_none(package: str) -> None:
    files = [file for file in (SRC / package.replace(".", "/")).rglob("*.py") if file.name != "__init__.py"]
    assert len(files) > 5
    check({".".join(file.relative_to(SRC).with_suffix("").parts): file.read_text(encoding="utf-8") for file in files})


@pytest.mark.parametrize(
    "source",
    [
        "from package import first",
        "from package.first import name",
        "import package.first",
        "if TYPE_CHECKING:\n    from package.first import Name",
        "def function():\n    import package.first",
    ],
)
def test_this_test_sees_them(source: str) -> None:
    with pytest.raises(graphlib.CycleError):
        check({"package.first": "import package.second", "package.second": source})
