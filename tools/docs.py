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
# Draws the diagram of states in the reader's browser. From here, for the theme would fetch it from another host.
MERMAID = ROOT / ".npm" / "node_modules" / "@mermaid-js" / "tiny" / "dist" / "mermaid.tiny.js"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from the code, the examples, and the changelog."""
    files.append(File.generated(config, "cli.md", content=command_line()))
    files.append(File.generated(config, MERMAID.name, abs_src_path=str(MERMAID)))
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
    """The transition table: its phases as a Mermaid diagram, and below it what leads along each arrow."""
    arrows: dict[tuple[Phase, Phase], list[str]] = defaultdict(list)
    for (phase, trigger), row in TABLE.items():
        for to in row.to - {phase, Phase.IDLE}:
            arrows[phase, to].append(f"timer `{trigger}`" if isinstance(trigger, Timer) else f"`{trigger.__name__}`")
    lines = [f'<script src="../{MERMAID.name}"></script>', "", "```mermaid", "stateDiagram-v2", "    direction LR"]
    lines += [f'    state "{phase.value}" as {phase.name}' for phase in Phase]
    lines += ["    [*] --> IDLE", *(f"    {phase.name} --> {to.name}" for phase, to in arrows), "```", ""]
    together: dict[tuple[Phase, str], list[str]] = defaultdict(list)
    for (phase, to), triggers in arrows.items():
        together[to, ", ".join(triggers)].append(phase.value)
    lines += ["| from | to | by |", "|---|---|---|"]
    lines += [f"| {', '.join(phases)} | {to.value} | {by} |" for (to, by), phases in together.items()]
    return "\n".join(lines)


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
    # The lists of commands, which a page cannot show as the terminal does: each has a section below.
    text = re.sub(r"^(Begin here|\*\*Commands\*\*:)\n\n(.+\n)+\n", "", text, flags=re.MULTILINE)
    return text.replace("# `ibkr`\n", "# The command line\n", 1).replace(" <list[str]>", "...")
