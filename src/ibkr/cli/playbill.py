"""How the demo looks: lines while it plays, one table at its end."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ibkr.cli.render import state_style
from ibkr.cli.scenes import POLICY, TIMEOUT, Scene
from ibkr.cli.stage import Outcome
from ibkr.core.state import ConnectionState, SessionState
from ibkr.core.status import Status


class Playbill:
    """Tells what happens, line by line, as it happens."""

    def __init__(self, console: Console, count: int) -> None:
        self._console = console
        self._count = count
        self._said: tuple[object, ...] = ()

    def begin(self, host: str, port: int) -> None:
        """Who plays."""
        self._console.print("[bold]ibkr demo[/]: what happens to a connection when things go wrong\n")
        self._console.print(
            f"A simulated gateway listens on {host}:{port} and speaks the real protocol; a connector keeps a"
            " session with it, with one market-data subscription. Nothing leaves this machine."
        )
        self._console.print(
            f"[dim]Waits are shorter than the defaults: probe after {POLICY.probe_after:g} s of silence, dead after"
            f" {POLICY.probe_timeout:g} s more, timeout {TIMEOUT:g} s, first back-off {POLICY.backoff_first:g} s.[/]\n"
        )

    def scene(self, number: int, scene: Scene) -> None:
        """A heading."""
        self._said = ()
        self._console.print(f"\n[bold]{number:2}/{self._count}  {scene.key}[/]: {scene.title}")

    def act(self, seconds: float, what: str) -> None:
        """What was done to the gateway."""
        self._line(seconds, "simulator", Text(what), "magenta")

    def status(self, seconds: float, status: Status) -> None:
        """What the connector says; what it has just said already is left out."""
        said = (status.state, status.reason, status.may_trade)
        is_next_attempt = status.session is SessionState.OPENING and status.last_error
        if said != self._said and not is_next_attempt:
            self._said = said
            self._line(seconds, status.state, _saying(status), state_style(status.state))

    def tick(self, seconds: float, price: float) -> None:
        """The proof."""
        self._line(seconds, "tick", Text(f"{price:.2f}, on the same Ticker object as ever"), "green")

    def end(self, failed: Sequence[str], ticks: int, seconds: float) -> None:
        """The result in one line."""
        recovered = f"Recovered from {self._count - len(failed)} of {self._count} faults"
        if failed:
            self._console.print(f"[bold red]{recovered}; not from: {', '.join(failed)}.[/]")
        else:
            self._console.print(
                f"[bold green]{recovered}[/] in {seconds:.0f} s. One Ticker object saw it all: {ticks} updates."
            )

    def _line(self, seconds: float, word: str, text: Text, style: str) -> None:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=10, justify="right", style="dim", no_wrap=True)
        row.add_column(width=12, style=style, no_wrap=True)
        row.add_column(ratio=1)
        row.add_row(f"{seconds:.3f} s", word, text)
        self._console.print(row)


def _saying(status: Status) -> Text:
    if status.state is ConnectionState.RECONNECTING and status.last_error:
        # The reason repeats how the session was lost; that has been said.
        return Text(f"attempt {status.attempt}: {status.last_error}")
    saying = Text(status.reason)
    if status.is_connected and status.may_trade_reason not in ("", status.reason):
        saying.append(f"; no orders: {status.may_trade_reason}")
    return saying


def outcome_table(scenes: Sequence[Scene], outcomes: Sequence[Outcome]) -> Table:
    """Every fault in one row, in seconds."""
    table = Table(
        box=box.SIMPLE_HEAD,
        caption="Seconds. Noticed: from the fault on. Ready and ticking: from its end on.",
        caption_justify="left",
        pad_edge=False,
    )
    table.add_column("fault", no_wrap=True, ratio=1)
    for heading in ("noticed\nafter", "fault\nlasted", "ready\nafter", "ticking\nafter"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=7)
    for scene, outcome in zip(scenes, outcomes, strict=True):
        table.add_row(
            scene.title,
            _seconds(outcome.noticed_after),
            "-" if scene.is_momentary else _seconds(outcome.lasted),
            _seconds(outcome.ready_after),
            _seconds(outcome.ticking_after),
        )
    return table


def _seconds(value: float | None) -> Text:
    return Text("never", style="bold red") if value is None else Text(f"{value:.3f}")
