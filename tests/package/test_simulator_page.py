"""docs/simulator.md is the output of its generator, and has every call of the simulated gateway."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from ibkr.simulator import FAULTS, Gateway, ThreadedGateway
from ibkr.simulator.fixture_gateway import FixtureGateway
from ibkr.simulator.requests.request_names import REQUESTS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "simulator.md").read_text(encoding="utf-8")


def test_the_page_is_in_step_with_the_tables():
    done = subprocess.run(
        [sys.executable, DOCS.parent / "tools" / "simulator.py"], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.stderr == ""
    assert done.stdout == PAGE, "run: make docs"


def test_it_names_every_request_and_every_fault():
    assert [name for name in REQUESTS if f"`{name}`" not in PAGE] == []
    assert [fault.usage for fault in FAULTS.values() if f"| `{fault.usage}` |" not in PAGE] == []


@pytest.mark.parametrize("owner", [Gateway, ThreadedGateway, FixtureGateway])
def test_every_public_member_and_every_argument_is_described(owner: type):
    members = {name: member for name, member in vars(owner).items() if not name.startswith("_")}
    if owner is Gateway:
        members["Gateway"] = Gateway
    for name, member in members.items():
        doc = inspect.getdoc(member) or ""
        assert doc, name
        if isinstance(member, property) or "see `Gateway." in doc or "same arguments as `assert_" in doc:
            continue
        for argument in inspect.signature(member).parameters:
            assert argument in ("self", "named", "function") or f"    {argument}: " in doc, (name, argument)
