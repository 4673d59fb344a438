"""``ibkr doctor``: runs the checks, and prints the findings for people, programs or a bug report."""

from __future__ import annotations

import asyncio
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

from ibkr.cli.cli_options import OWN_CLIENT_IDS, WHERE, ConfigOption, HostOption, JsonOption, PortOption, TimeoutOption
from ibkr.config import read_settings
from ibkr.core.serialization import to_json
from ibkr.doctor import CHECKS, Check, Context, Finding, Level, run_checks
from ibkr.doctor.redaction import redacted

_STYLES = {Level.OK: "green", Level.WARN: "bold yellow", Level.FAIL: "bold red", Level.SKIPPED: "dim"}
_TITLES = {check.name: check.title for check in CHECKS}
_ID_COUNT = 5
"""How many of our own client ids to try, because another program may use an id of the same range."""


def doctor(
    as_json: JsonOption = False,
    for_issue: Annotated[
        bool,
        typer.Option(
            "--for-issue",
            help="Print text for a bug report, without account ids, host names and addresses. Loopback stays.",
        ),
    ] = False,
    symbol: Annotated[str, typer.Option("--symbol", help="US stock to request market data for.")] = "AAPL",
    host: HostOption = None,
    port: PortOption = None,
    client_id: Annotated[
        int | None,
        typer.Option(
            "--client-id",
            rich_help_panel=WHERE,
            help="Client id of your program. Checked, but not used otherwise.",
        ),
    ] = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> None:
    """Find out why a program cannot connect, and what to do.

    Checks configuration, host name, port, the program behind it, client id,
    accounts, orders and positions, link to IB, market data, latency and clock.
    Places no order, and closes everything that it opens.

    Exit code 0 if nothing failed, even with warnings; 1 for a failure; 2
    for wrong usage or configuration.
    """
    # This function has over 40 lines because typer makes the command line from the signature.
    if as_json and for_issue:
        raise typer.BadParameter("use --json or --for-issue, not both", param_hint="--for-issue")
    settings = partial(read_settings, config, host=host, port=port, client_id=client_id, timeout=timeout)
    context = Context(settings, random.sample(OWN_CLIENT_IDS, _ID_COUNT), symbol.upper())
    is_live = not (as_json or for_issue)
    findings = asyncio.run(_show_findings(context) if is_live else _collect_findings(context))
    failed = any(finding.level is Level.FAIL for finding in findings)
    if as_json:
        print(to_json({"ok": not failed, "findings": [finding.to_dict() for finding in findings]}))
    elif for_issue:
        print(_issue_text(context, findings))
    else:
        Console(stderr=True, highlight=False, markup=False).print(_summary(findings))
    if failed:
        raise typer.Exit(2 if context.config is None else 1)


async def _collect_findings(context: Context) -> list[Finding]:
    async with aclosing(run_checks(context, CHECKS)) as findings:
        return [finding async for finding in findings]


async def _show_findings(context: Context) -> list[Finding]:
    """Return the findings, and print each as soon as it is known."""
    screen = Console(highlight=False, markup=False)
    shown: list[Finding] = []
    skipped: list[Finding] = []
    with screen.status("") as status:

        def show_progress(check: Check) -> None:
            status.update(Text(f"{check.title} ..."))

        async with aclosing(run_checks(context, CHECKS, show_progress)) as findings:
            async for finding in findings:
                shown.append(finding)
                if finding.level is Level.SKIPPED:
                    skipped.append(finding)
                else:
                    screen.print(_finding_row(finding))
        if skipped:
            screen.print(_skipped_row(skipped))
    return shown


def _finding_row(finding: Finding) -> Table:
    row = _grid()
    style = _STYLES[finding.level]
    row.add_row(Text(str(finding.level), style), Text(_TITLES[finding.check]), Text(finding.message))
    if finding.advice:
        row.add_row("", "", Text(finding.advice, "cyan"))
    return row


def _skipped_row(findings: list[Finding]) -> Table:
    row = _grid()
    names = ", ".join(_TITLES[finding.check] for finding in findings)
    row.add_row(*(Text(text, "dim") for text in ("skipped", f"{len(findings)} more", names)))
    return row


def _grid() -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(width=7)
    grid.add_column(width=max(map(len, _TITLES.values())))
    grid.add_column(overflow="fold")
    return grid


def _summary(findings: list[Finding]) -> Text:
    """Return the result in one line, with the first failure, or the first warning if nothing failed."""
    count = Counter(finding.level for finding in findings)
    first = next((each for level in (Level.FAIL, Level.WARN) for each in findings if each.level is level), None)
    if first is None:
        return Text("No problem found.", "bold green")
    numbers = ", ".join(
        f"{count[level]} {name}{'' if count[level] == 1 else 's'}"
        for level, name in ((Level.FAIL, "failure"), (Level.WARN, "warning"))
        if count[level]
    )
    return Text(f"{numbers}. Begin with: {_TITLES[first.check]}.", _STYLES[first.level])


def _issue_text(context: Context, findings: list[Finding]) -> str:
    lines = [f"ibkr doctor on {platform.system()} {platform.release()}", ""]
    for finding in findings:
        lines.append(f"[{finding.level}] {finding.check}: {finding.message}")
        if finding.kind:
            lines.append(f"    kind: {finding.kind}")
        if finding.advice:
            lines.append(f"    advice: {finding.advice}")
    host = context.ibkr.host if context.config else ""
    configured = (context.ibkr.account,) if context.config else ()
    accounts = (*configured, *(context.session.accounts if context.session else ()))
    return redacted("\n".join(lines), host=host, accounts=accounts)
