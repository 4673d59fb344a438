"""No import cycles, not even through imports for type checkers or inside functions."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

PACKAGES = ("ibkr.core", "ibkr.runtime", "ibkr.observe", "ibkr.simulator", "ibkr.gateway", "ibkr.session", "ibkr.proxy")
"""The packages that must have no import cycle."""


def circle_in(package: str) -> list[str]:
    """Return the files of an import cycle in this package: each file imports the next. Empty if there is no cycle."""
    graph = grimp.build_graph(package.partition(".")[0], cache_dir=None)
    files = {package, *graph.find_descendants(package)}
    imports = {file: graph.find_modules_directly_imported_by(file) & files for file in sorted(files)}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]
    return []


@pytest.mark.parametrize("package", PACKAGES)
def test_there_is_no_import_cycle(package: str) -> None:
    assert circle_in(package) == []


@pytest.mark.parametrize(
    "import_of_a",
    [
        "from house.room import a",
        "from house.room.a import Thing",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.room.a import Thing",
        "def later():\n    import house.room.a",
        "from . import a",
    ],
)
def test_an_import_cycle_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, import_of_a: str) -> None:
    room = tmp_path / "house" / "room"
    room.mkdir(parents=True)
    files = {"__init__": "", "a": "from house.room import b", "b": "from house.room import c", "c": import_of_a}
    for name, source in {**files, "../__init__": ""}.items():
        (room / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert sorted(set(circle_in("house.room"))) == ["house.room.a", "house.room.b", "house.room.c"]
    (room / "c.py").write_text("", encoding="utf-8")
    assert circle_in("house.room") == []
