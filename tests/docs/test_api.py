"""The documentation lists every public name and every field."""

import dataclasses
import re
from pathlib import Path

import pytest

import ibkr
from ibkr.core.gap_report import Backfill, PositionChange
from ibkr.core.order_records import Execution, Order, SentOrder
from ibkr.core.status import Status

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
def test_every_field_in_a_gap_report_is_documented(row: str, kind: type) -> None:
    page = (DOCS / "recovery.md").read_text(encoding="utf-8").split("| item | fields |")[1]
    [fields] = re.findall(rf"^\| {row} \| (.*) \|$", page, flags=re.MULTILINE)
    names = re.findall(r"`([a-z_]+)`", fields)
    assert names == [field.name for field in dataclasses.fields(kind)]


def test_every_field_of_the_status_is_in_the_glossary() -> None:
    section = (DOCS / "glossary.md").read_text(encoding="utf-8").split("## The status")[1]
    cells = " ".join(re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE))
    assert sorted(re.findall(r"`(\w+)`", cells)) == sorted(field.name for field in dataclasses.fields(Status))
