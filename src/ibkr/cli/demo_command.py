"""``ibkr demo``: causes faults on a simulated gateway, and shows how the connection recovers."""

from __future__ import annotations

import asyncio
import difflib
import json
import time
from collections.abc import Sequence
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ibkr.cli.cli_options import JsonOption
from ibkr.cli.demo_cases import CASES, CLIENT_ID, POLICY, TIMEOUT, DemoCase
from ibkr.cli.demo_runner import CaseResult, DemoRunner
from ibkr.cli.status_text import state_style
from ibkr.connector import IBConnector
from ibkr.core.states import ConnectionState, SessionState
from ibkr.core.status import Status
from ibkr.simulator import ThreadedGateway


def demo(
    only: Annotated[
        list[str] | None,
        typer.Argument(metavar="FAULT", help="Run only these, by the names in the headings: reset, 1101, ..."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch a connection recover from 28 faults. Takes about 50 seconds.

    Starts a simulated gateway and a connector on this machine, causes one
    fault after another, and measures how fast the connection notices each
    and recovers. Needs no TWS and no account.

    Exit code 0 if it recovered from every one, 1 if it did not, 130 after
    Ctrl-C, which shows the results so far.
    """
    cases = _select_cases(only or [])
    output = DemoOutput(Console(stderr=True, highlight=False), len(cases))
    began = time.monotonic()
    results: list[CaseResult] = []
    was_stopped, ticks = False, 0
    try:
        ticks = asyncio.run(_play(cases, output, results))
    except KeyboardInterrupt:  # show the results so far
        was_stopped = True
    failed = [result.fault for result in results if not result.recovered]
    if as_json:
        print(json.dumps([result.to_dict() for result in results]))
    elif results:
        console = Console(highlight=False)
        console.print(result_table(cases, results, console.encoding))
    output.print_summary(len(results), failed, ticks, time.monotonic() - began)
    if failed or was_stopped:
        raise typer.Exit(130 if was_stopped else 1)


def _select_cases(only: list[str]) -> tuple[DemoCase, ...]:
    known = {case.key: case for case in CASES}
    for key in only:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
            raise typer.BadParameter(f"no fault {key!r}; {hint}", param_hint="FAULT")
    return tuple(case for key, case in known.items() if not only or key in only)


async def _play(cases: tuple[DemoCase, ...], output: DemoOutput, results: list[CaseResult]) -> int:
    """Run the cases, add each result to ``results``, and return the number of ticks."""
    with ThreadedGateway(id_hold=0) as gateway:
        connector = IBConnector(gateway.host, gateway.port, CLIENT_ID, TIMEOUT, policy=POLICY)
        output.print_introduction(gateway.host, gateway.port)
        runner = DemoRunner(gateway, connector, output)
        try:
            await runner.set_up()
            for number, case in enumerate(cases, 1):
                results.append(await runner.play(number, case))
        finally:
            await runner.tear_down()
    return runner.ticks


class DemoOutput:
    """Prints what happens, line by line, when it happens. The ``DemoListener`` of the command."""

    def __init__(self, console: Console, count: int) -> None:
        self._console = console
        self._count = count
        self._last_status: tuple[object, ...] = ()

    def print_introduction(self, host: str, port: int) -> None:
        """Print what the demo does, and with which settings."""
        self._console.print("[bold]ibkr demo[/]: what happens to a connection when things go wrong\n")
        self._console.print(
            f"A simulated gateway listens on {host}:{port} and speaks the real protocol. A connector keeps a session"
            " with it, with one market-data subscription. Nothing leaves this machine."
        )
        self._console.print(
            f"[dim]Waits are shorter than the defaults: probe after {POLICY.probe_after:g} s of silence, dead after"
            f" {POLICY.probe_timeout:g} s more, timeout {TIMEOUT:g} s, first back-off {POLICY.backoff_first:g} s.[/]\n"
        )

    def on_case(self, number: int, case: DemoCase) -> None:
        """Print the heading of a case."""
        self._last_status = ()
        self._console.print(f"\n[bold]{number:2}/{self._count}  {case.key}[/]: {case.title}")

    def on_action(self, seconds: float, text: str) -> None:
        """Print what was done to the gateway."""
        self._line(seconds, "simulator", Text(text), "magenta")

    def on_status(self, seconds: float, status: Status) -> None:
        """Print a status, unless it repeats the last status."""
        shown = (status.state, status.reason, status.may_trade)
        is_next_attempt = status.session is SessionState.OPENING and status.last_error
        if shown != self._last_status and not is_next_attempt:
            self._last_status = shown
            self._line(seconds, status.state, _status_text(status), state_style(status.state))

    def on_tick(self, seconds: float, price: float) -> None:
        """Print the first tick after the fault."""
        self._line(seconds, "tick", Text(f"{price:.2f}, on the same Ticker object as before"), "green")

    def on_result(self, result: CaseResult) -> None:
        """Print whether the connection recovered."""
        style = "bold green" if result.recovered else "bold red"
        text = "recovered" if result.recovered else f"not recovered: {_missing_step(result)}"
        self._console.print(f"  [{style}]{_mark(result, self._console.encoding)} {text}[/]")

    def print_summary(self, played: int, failed: Sequence[str], ticks: int, seconds: float) -> None:
        """Print the result of the demo in one line."""
        recovered = f"Recovered from {played - len(failed)} of {played} faults"
        if played < self._count:
            recovered = f"Stopped after {played} of {self._count} faults. {recovered}"
        if failed:
            self._console.print(f"[bold red]{recovered}; not from: {', '.join(failed)}.[/]")
        else:
            updates = f" One Ticker object received all {ticks} updates." if ticks else ""
            self._console.print(f"[bold green]{recovered}[/] in {seconds:.0f} s.{updates}")

    def _line(self, seconds: float, word: str, text: Text, style: str) -> None:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=10, justify="right", style="dim", no_wrap=True)
        row.add_column(width=12, style=style, no_wrap=True)
        row.add_column(ratio=1)
        row.add_row(f"{seconds:.3f} s", word, text)
        self._console.print(row)


def _status_text(status: Status) -> Text:
    if status.state is ConnectionState.RECONNECTING and status.last_error:
        # The reason repeats how the session was lost, which was printed before.
        return Text(f"attempt {status.attempt}: {status.last_error}")
    text = Text(status.reason)
    if status.is_connected and status.may_trade_reason not in ("", status.reason):
        text.append(f"; no orders: {status.may_trade_reason}")
    return text


def _mark(result: CaseResult, encoding: str) -> str:
    """Return a check mark or a cross, or a word if the terminal cannot show them."""
    if encoding.lower().replace("-", "") != "utf8":
        return "ok" if result.recovered else "FAILED"
    return "✓" if result.recovered else "✗"


def _missing_step(result: CaseResult) -> str:
    if result.noticed_after is None:
        return "it was not noticed"
    return "it was not READY again" if result.ready_after is None else "it did not tick again"


def result_table(cases: Sequence[DemoCase], results: Sequence[CaseResult], encoding: str = "utf-8") -> Table:
    """Return a table with one row for each result. A long table has its headings also at the end."""
    table = Table(
        box=box.SIMPLE_HEAD,
        caption="Seconds. Noticed: from the fault's start. Ready, ticking: from its end.",
        caption_justify="left",
        pad_edge=False,
        show_footer=True,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", no_wrap=True, min_width=1)
    table.add_column("fault", "fault", no_wrap=True, ratio=1)
    for heading in ("noticed\nafter", "fault\nlasted", "ready\nafter", "ticking\nafter"):
        table.add_column(heading, heading, justify="right", no_wrap=True, min_width=7)
    for case, result in zip(cases, results, strict=False):
        table.add_row(
            Text(_mark(result, encoding), style="green" if result.recovered else "bold red"),
            case.title,
            _seconds(result.noticed_after),
            "-" if case.is_momentary else _seconds(result.lasted),
            _seconds(result.ready_after),
            _seconds(result.ticking_after),
        )
    return table


def _seconds(value: float | None) -> Text:
    return Text("never", style="bold red") if value is None else Text(f"{value:.3f}")
