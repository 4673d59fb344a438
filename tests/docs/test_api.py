"""The public names are those that the documentation tells of."""

import dataclasses
import re
from pathlib import Path

import pytest

import ibkr
from ibkr.core.gap import Backfill, PositionChange
from ibkr.core.orders import Execution, Order, SentOrder

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "api.md"


def test_the_public_names_are_exactly_those_documented() -> None:
    documented = re.findall(r"^::: ibkr\.(\w+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(documented) == sorted(set(ibkr.__all__) - {"__version__"})


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("executions", Execution),
        ("orders", Order),
        ("unconfirmed orders", SentOrder),
        ("positions", PositionChange),
        ("bars", Backfill),
    ],
)
def test_what_a_gap_report_lists_is_documented_field_by_field(row: str, kind: type) -> None:
    page = (DOCS / "recovery.md").read_text(encoding="utf-8").split("| one of its | has |")[1]
    [told] = re.findall(rf"^\| {row} \| (.*) \|$", page, flags=re.MULTILINE)
    names = re.findall(r"`([a-z_]+)`", told)
    assert names == [field.name for field in dataclasses.fields(kind)]
