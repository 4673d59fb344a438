"""``ibkr doctor``: why can I not connect?"""

from __future__ import annotations

import asyncio
import json
import platform
import random
from collections import Counter
from contextlib import aclosing
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ibkr.cli.options import OWN_CLIENT_IDS, WHERE, ConfigOption, HostOption, JsonOption, PortOption, TimeoutOption
from ibkr.config import read_settings
from ibkr.doctor import CHECKS, Check, Finding, Level, Patient, examine
from ibkr.doctor.redaction import redacted

_STYLES = {Level.OK: "green", Level.WARN: "bold yellow", Level.FAIL: "bold red", Level.SKIPPED: "dim"}
_ABOUT = {check.name: check.about for check in CHECKS}
_TRIES = 5
"""Client ids of our own to try, should others have chosen from the same range."""


def doctor(
    as_json: JsonOption = False,
    for_issue: Annotated[
        bool, typer.Option("--for-issue", help="Print a text for a bug report: no account, host or address in it.")
    ] = False,
    symbol: Annotated[str, typer.Option("--symbol", help="US stock to ask for market data of.")] = "AAPL",
    host: HostOption = None,
    port: PortOption = None,
    client_id: Annotated[
        int | None,
        typer.Option(
            "--client-id",
            rich_help_panel=WHERE,
            help="Id of your program: is it free? It is not used otherwise.",
        ),
    ] = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> None:
    """Why can I not connect? Looks at everything on the way, and says what to do.

    Configuration, name, port, what listens there, client id, accounts, orders
    and positions, link to IB, market data, latency, clock. It places no order
    and leaves nothing behind.

    Exit code 0 when all is well or there are warnings only, 1 for a failure, 2
    for wrong usage or configuration.
    """
    # Over 40 lines by its signature, which typer makes the command line of.
    if as_json and for_issue:
        raise typer.BadParameter("give --json or --for-issue, not both", param_hint="--for-issue")
    settings = partial(read_settings, config, host=host, port=port, client_id=client_id, timeout=timeout)
    patient = Patient(settings, random.sample(OWN_CLIENT_IDS, _TRIES), symbol.upper())
    screen = Console(highlight=False, markup=False)
    is_live = not (as_json or for_issue)
    findings = asyncio.run(_run(patient, screen if is_live else None))
    failed = [finding for finding in findings if finding.level is Level.FAIL]
    if as_json:
        print(json.dumps({"ok": not failed, "findings": [finding.to_dict() for finding in findings]}))
    elif for_issue:
        print(_for_issue(patient, findings))
    else:
        Console(stderr=True, highlight=False, markup=False).print(_sum(findings))
    if failed:
        raise typer.Exit(2 if patient.cfg is None else 1)


async def _run(patient: Patient, screen: Console | None) -> list[Finding]:
    """The findings; shown as they come where there is a screen."""
    if screen is None:
        async with aclosing(examine(patient, CHECKS)) as coming:
            return [finding async for finding in coming]
    findings: list[Finding] = []
    unlooked: list[Finding] = []
    with screen.status("") as status:

        def beginning(check: Check) -> None:
            status.update(Text(f"{check.about} ..."))

        async with aclosing(examine(patient, CHECKS, beginning)) as coming:
            async for finding in coming:
                findings.append(finding)
                if finding.level is Level.SKIPPED:
                    unlooked.append(finding)
                else:
                    screen.print(_row(finding))
        if unlooked:
            screen.print(_skipped(unlooked))
    return findings


def _row(finding: Finding) -> Table:
    row = _grid()
    style = _STYLES[finding.level]
    row.add_row(Text(str(finding.level), style), Text(_ABOUT[finding.check]), Text(finding.message))
    if finding.advice:
        row.add_row("", "", Text(finding.advice, "cyan"))
    return row


def _skipped(findings: list[Finding]) -> Table:
    """Those that need what has failed, in a line."""
    row = _grid()
    names = ", ".join(_ABOUT[finding.check] for finding in findings)
    row.add_row(*(Text(text, "dim") for text in ("skipped", f"{len(findings)} more", names)))
    return row


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=7)
    grid.add_column(width=max(map(len, _ABOUT.values())))
    grid.add_column(overflow="fold")
    return grid


def _sum(findings: list[Finding]) -> Text:
    """The verdict in a line: the first failure, or else the first warning, is where to begin."""
    count = Counter(finding.level for finding in findings)
    first = next((each for level in (Level.FAIL, Level.WARN) for each in findings if each.level is level), None)
    if first is None:
        return Text("All is well.", "bold green")
    numbers = ", ".join(
        f"{count[level]} {name}{'' if count[level] == 1 else 's'}"
        for level, name in ((Level.FAIL, "failure"), (Level.WARN, "warning"))
        if count[level]
    )
    return Text(f"{numbers}. Begin with: {_ABOUT[first.check]}.", _STYLES[first.level])


def _for_issue(patient: Patient, findings: list[Finding]) -> str:
    lines = [f"ibkr doctor on {platform.system()} {platform.release()}", ""]
    for finding in findings:
        lines.append(f"[{finding.level}] {finding.check}: {finding.message}")
        if finding.kind:
            lines.append(f"    kind: {finding.kind}")
        if finding.advice:
            lines.append(f"    advice: {finding.advice}")
    host = patient.cfg.ibkr.host if patient.cfg else ""
    account = (patient.cfg.ibkr.account,) if patient.cfg else ()
    accounts = (*account, *(patient.session.accounts if patient.session else ()))
    return redacted("\n".join(lines), host=host, accounts=accounts)
