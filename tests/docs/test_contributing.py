"""Every file that CONTRIBUTING.md names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_file_exists() -> None:
    files = set(re.findall(r"`([\w/]+/\w+\.py)`", PAGE))
    assert len(files) > 30
    missing = [file for file in files if not (ROOT / file).exists() and not (ROOT / "src" / "ibkr" / file).exists()]
    assert missing == []
