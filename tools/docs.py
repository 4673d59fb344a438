"""The parts of the documentation site that come from the code: the state diagram and the command-line reference."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from ibkr.core.events import Timer
from ibkr.core.machine_state import Phase
from ibkr.core.transitions import TRANSITIONS

ROOT = Path(__file__).parents[1]
# This script draws the state diagram in the reader's browser. The site serves the script, because the theme would
# otherwise fetch it from another host.
MERMAID = ROOT / ".npm" / "node_modules" / "@mermaid-js" / "tiny" / "dist" / "mermaid.tiny.js"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made from the code, the examples, and the changelog."""
    files.append(File.generated(config, "cli.md", content=command_line()))
    files.append(File.generated(config, MERMAID.name, abs_src_path=str(MERMAID)))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "changelog.md", content=changelog))
    for folder in ("examples", "deploy"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and file.suffix not in (".md", ".pyc"):
                files.append(File.generated(config, file.relative_to(ROOT).as_posix(), abs_src_path=str(file)))
    return files


def on_page_markdown(markdown: str, **_context: Any) -> str:
    """Fill in the generated parts of a page, and change its links. In the repository, the folders examples and deploy
    are next to the folder docs; in the site, they are inside it."""
    markdown = markdown.replace("<!-- the diagram of the transition table -->", diagram())
    markdown = markdown.replace("](../CHANGELOG.md", "](changelog.md")
    return markdown.replace("](../examples/", "](examples/").replace("](../deploy/", "](deploy/")


def diagram() -> str:
    """The transition table as a Mermaid diagram of its phases, with a list of the triggers of each arrow."""
    arrows: dict[tuple[Phase, Phase], list[str]] = defaultdict(list)
    for (phase, trigger), row in TRANSITIONS.items():
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
    """The help of each command, as a page."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "ibkr.cli.app", "utils", "docs", "--name", "ibkr"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    text = re.sub(r"</?span[^>]*>", "", done.stdout)
    # Remove the lists of commands: they have the layout of a terminal, and each command has a section below.
    text = re.sub(r"^(Begin here|\*\*Commands\*\*:)\n\n(.+\n)+\n", "", text, flags=re.MULTILINE)
    return text.replace("# `ibkr`\n", "# The command line\n", 1).replace(" <list[str]>", "...")
