"""The public names are those that the documentation tells of."""

import re
from pathlib import Path

import ibkr

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_public_names_are_exactly_those_documented() -> None:
    documented = re.findall(r"^::: ibkr\.(\w+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(documented) == sorted(set(ibkr.__all__) - {"__version__"})
