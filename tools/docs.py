"""What the documentation site takes from the code when it is built: the diagram of states, the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from ibkr.core.facts import Timer
from ibkr.core.situation import Phase
from ibkr.core.table import TABLE

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from the code, the examples, and the changelog."""
    files.append(File.generated(config, "cli.md", content=command_line()))
    files.append(File.generated(config, "changelog.md", content=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    for example in sorted((ROOT / "examples").iterdir()):
        if example.is_file():
            files.append(File.generated(config, f"examples/{example.name}", abs_src_path=str(example)))
    return files


def on_page_markdown(markdown: str, **_context: Any) -> str:
    """Fill in what a page takes from the code; the examples lie beside the docs, in the site among them."""
    markdown = markdown.replace("<!-- the diagram of the transition table -->", diagram())
    return markdown.replace("](../examples/", "](examples/")


def diagram() -> str:
    """The transition table as a Mermaid diagram: an arrow from phase to phase, with what may lead along it."""
    arrows: dict[tuple[Phase, Phase], list[str]] = defaultdict(list)
    for (phase, trigger), row in TABLE.items():
        for to in row.to - {phase}:
            if to is not Phase.IDLE:
                arrows[phase, to].append(f"timer {trigger}" if isinstance(trigger, Timer) else trigger.__name__)
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR"]
    lines += [f'    state "{phase.value}" as {phase.name}' for phase in Phase]
    lines += ["    [*] --> IDLE"]
    for (phase, to), triggers in arrows.items():
        lines.append(f"    {phase.name} --> {to.name}: {', '.join(triggers)}")
    return "\n".join([*lines, "```"])


def command_line() -> str:
    """The command's own help, as a page."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "ibkr.cli.app", "utils", "docs", "--name", "ibkr"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    text = re.sub(r"</?span[^>]*>", "", done.stdout)
    return text.replace("# `ibkr`\n", "# The command line\n", 1)
