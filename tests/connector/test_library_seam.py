"""The seam to the client library: typed subclasses, nothing replaced, and a contract that the library must fit."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ib_async import IB

from ibkr import IBConnector
from ibkr.session.library.contract import ATTRIBUTES, METHODS
from ibkr.simulator import Gateway
from tests.fixture_types import AAPL, Make

SESSION = Path(__file__).parents[2] / "src" / "ibkr" / "session"
MODULES = ("client", "connection", "contract", "decoder", "ib", "objects", "order", "ticker", "wrapper")


def classes(package: str) -> Iterator[tuple[str, type]]:
    """Every class of the library that we could have changed."""
    for name in MODULES:
        module: ModuleType = importlib.import_module(f"{package}.{name}")
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == module.__name__:
                yield f"{name}.{cls.__name__}", cls


def contents(package: str) -> dict[str, dict[str, object]]:
    return {name: dict(vars(cls)) for name, cls in classes(package)}


async def test_nothing_is_replaced_on_an_instance_or_a_class(gateway: Gateway, make: Make, backend: str) -> None:
    before = contents(backend)
    connector = make()
    await connector.connect_async()
    ib: Any = connector.ib
    ticker = ib.reqMktData(AAPL)
    await ticker.updateEvent
    for obj in (ib, ib.client, ib.wrapper, ib.client.conn, ib.client.decoder):
        shadows = [name for name, value in vars(obj).items() if callable(value) and hasattr(type(obj), name)]
        assert shadows == [], type(obj)
    after = contents(backend)
    assert before.keys() == after.keys()
    for name, members in before.items():
        changed = [each for each, value in members.items() if after[name].get(each) is not value]
        added = after[name].keys() - members.keys() - {"__slotnames__"}  # added by the module copy
        assert (name, changed, added) == (name, [], set())


async def test_an_ib_of_the_callers_own_class_is_adopted(gateway: Gateway) -> None:
    class Own(IB):
        def placeOrder(self, *arguments: Any) -> Any:  # type: ignore[override]
            placed.append(arguments)
            return super().placeOrder(*arguments)

        def mine(self) -> str:
            return "mine"

    placed: list[Any] = []
    own = Own()
    async with IBConnector("127.0.0.1", gateway.port, 7, ib=own) as connector:
        assert connector.ib is own
        assert isinstance(own, Own)
        assert type(own).__qualname__ == Own.__qualname__
        assert own.mine() == "mine"
    again = IBConnector("127.0.0.1", gateway.port, 7, ib=own)
    async with again:
        ticker = again.ib.reqMktData(AAPL)
        await ticker.updateEvent
    assert not placed


# --- the library's interface that the connector needs ---


@pytest.fixture
def altered(backend: str, tmp_path: Path) -> Callable[[str, str, str], subprocess.CompletedProcess[str]]:
    """Makes a connector, in a separate process, with a copy of the library in which a pattern is replaced."""

    def run(file: str, pattern: str, replacement: str) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / backend
        installed = importlib.import_module(backend).__file__
        assert installed is not None
        shutil.copytree(Path(installed).parent, folder)
        changed = folder / file
        text, count = re.subn(pattern, replacement, changed.read_text(encoding="utf-8"))
        assert count
        changed.write_text(text, encoding="utf-8")
        program = (
            f"import sys, time, logging; sys.path.insert(0, {str(tmp_path)!r})\n"
            f"import {backend}, ibkr; ibkr.IBConnector\n"
            "logging.basicConfig()\n"
            "began = time.process_time()\n"
            f"try: [ibkr.IBConnector('127.0.0.1', 7497, 1, backend={backend!r}) for _ in range(2)]\n"
            "except ibkr.ConfigError as error: print(error)\n"
            "assert time.process_time() - began < 1"
        )
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    return run


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "named"),
    [
        ("client.py", r"\b_reqIdSeq\b", "_reqIdSequence", "client.Client._reqIdSeq is missing"),
        ("wrapper.py", r"\b_futures\b", "_pending", "wrapper.Wrapper._futures is missing"),
        ("client.py", r"mktDataOptions", "mktDataOptions, more", "client.Client.reqMktData() takes"),
        ("client.py", r"def cancelPnL\(", "def cancelProfits(", "client.Client.cancelPnL() is missing"),
        ("ib.py", r"\b_onError\b", "_on_error", "ib.IB._onError() is missing"),
        ("ib.py", r"def _onError\(", "def _on_error(", "ib.IB._onError() is missing"),
        ("ticker.py", r"\bprevBid\b", "formerBid", "ticker.Ticker.prevBid is missing"),
    ],
)
def test_a_library_that_differs_is_named_at_once(
    altered: Callable[[str, str, str], subprocess.CompletedProcess[str]],
    backend: str,
    file: str,
    pattern: str,
    replacement: str,
    named: str,
) -> None:
    said = altered(file, pattern, replacement).stdout
    assert said.startswith(f"ibkr.backend = '{backend}': "), said
    assert named in said
    version = {"ib_async": "2.1.0", "ib_insync": "0.9.86"}[backend]
    assert f"python -m pip install '{backend}=={version}'" in said


def test_a_version_that_is_not_known_but_fits_gives_one_warning(
    altered: Callable[[str, str, str], subprocess.CompletedProcess[str]], backend: str
) -> None:
    now, other = {"ib_async": (r'version\("ib_async"\)', "'9.9.9'"), "ib_insync": (r"\(0, 9, 86\)", "(9, 9, 9)")}[
        backend
    ]
    result = altered("version.py", now, other)
    assert result.stdout == ""
    assert result.stderr.count("WARNING") == 1
    assert "9.9.9 is installed" in result.stderr


def test_the_contract_lists_every_private_name_that_is_used() -> None:
    listed = {name for methods in METHODS.values() for name in methods}
    listed |= {name for names in ATTRIBUTES.values() for name in names.split()}
    own = private_names(list(SESSION.rglob("*.py")), defined=True)
    used = private_names(list((SESSION / "library").glob("*.py")))
    assert {name for name in used - own if name not in listed} == set()


def test_no_private_name_of_the_library_is_used_outside_of_the_seam() -> None:
    private = {name for methods in METHODS.values() for name in methods if name.startswith("_")}
    private |= {name for names in ATTRIBUTES.values() for name in names.split() if name.startswith("_")}
    outside = [
        file
        for file in SESSION.parent.rglob("*.py")
        if "library" not in file.relative_to(SESSION.parent).parts and "simulator" not in file.parts
    ]
    for file in outside:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in private:
                assert isinstance(node.value, ast.Name), (file, node.attr)
                assert node.value.id == "self", (file, node.attr)


def private_names(files: list[Path], *, defined: bool = False) -> set[str]:
    """Names with one leading underscore that these files use, and the ones that they define."""
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)]) if defined:
                    found.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) if defined:
                    found.add(name)
                case ast.Attribute(attr=name, ctx=ast.Store()) | ast.AnnAssign(target=ast.Name(id=name)) if defined:
                    found.add(name)
                case ast.Attribute(attr=name) if not defined:
                    found.add(name)
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def test_the_session_is_typed() -> None:
    """``Any`` appears only where the client library itself has no types."""
    uses = sum(len(re.findall(r"\bAny\b", file.read_text(encoding="utf-8"))) for file in SESSION.rglob("*.py"))
    assert uses < 80


def test_making_a_connector_is_fast() -> None:
    IBConnector("127.0.0.1", 7497, 1)
    began = time.process_time()
    for _ in range(20):
        IBConnector("127.0.0.1", 7497, 1)
    assert time.process_time() - began < 2
