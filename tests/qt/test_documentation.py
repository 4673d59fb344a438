"""The program in docs/qt.md runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from ibkr.simulator import ThreadedGateway

PAGE = Path(__file__).parents[2] / "docs" / "qt.md"
# This code closes the window, as a user would.
QUIT = """
signals.status_changed.connect(lambda status: app.quit() if buy.isEnabled() else None)
app.exec()
print(light.toolTip())
"""


def test_it_runs_until_its_button_can_be_pressed(gateway: ThreadedGateway, tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "app.exec()\n" in code
    done = subprocess.run(
        [sys.executable, "-P", "-X", "dev", "-c", code.replace("app.exec()\n", QUIT)],
        cwd=tmp_path,
        env=os.environ | {"IBKR_PORT": str(gateway.port)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "; may trade" in done.stdout
