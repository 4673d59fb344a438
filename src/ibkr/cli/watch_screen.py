"""``WatchScreen``: the screen of ``ibkr watch``, one connection on 80 columns and 24 lines or more."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.markup import escape
from rich.panel import Panel
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ibkr.cli.side_panels import Details, SidePanels
from ibkr.cli.status_text import (
    accounts_text,
    add_alert_rows,
    farms_text,
    gateway_text,
    masked_text,
    state_style,
    trading_text,
    upstream_text,
)
from ibkr.core.gap_report import GapReport
from ibkr.core.states import ConnectionState, SessionState
from ibkr.core.stats import Stats
from ibkr.core.status import Status

_LARGE_LETTERS = {
    "A": ("█▀█", "█▀█", "▀ ▀"),
    "C": ("█▀▀", "█  ", "▀▀▀"),
    "D": ("█▀▄", "█ █", "▀▀ "),
    "E": ("█▀▀", "█▀▀", "▀▀▀"),
    "F": ("█▀▀", "█▀▀", "▀  "),
    "G": ("█▀▀", "█ █", "▀▀▀"),
    "I": ("▀█▀", " █ ", "▀▀▀"),
    "L": ("█  ", "█  ", "▀▀▀"),
    "N": ("█▄ █", "█ ▀█", "▀  ▀"),
    "O": ("█▀█", "█ █", "▀▀▀"),
    "R": ("█▀▄", "█▀▄", "▀ ▀"),
    "S": ("█▀▀", "▀▀█", "▀▀▀"),
    "T": ("▀█▀", " █ ", " ▀ "),
    "Y": ("█ █", " █ ", " ▀ "),
}
"""The letters in the names of the states."""
_BARS = "▁▂▃▄▅▆▇█"
_SPARKLINE_LENGTH = 24
_OUTLIER = 4
"""A probe that took longer than this many medians is drawn as if it had taken this many. Without this limit, one slow
answer would flatten all other bars."""
_BANNER_COLUMNS = 72
"""Columns that the longest state needs in large letters, with its age next to it."""
_STATUS_COLUMNS, _SIDE_FROM = 80, 120
"""Columns of the status next to the side panels, and the smallest width of a screen with side panels."""
_PANELS_BELOW_FROM = 14
"""On a high and narrow screen, the panels are below the status if at least this many lines are free there."""
_PASSING_STATES = (ConnectionState.CONNECTING, ConnectionState.RECONNECTING, ConnectionState.SYNCING)


def banner(word: str) -> str:
    """Return the word as three lines of block characters. Raises ``KeyError`` for a letter that no state has."""
    return "\n".join(" ".join(_LARGE_LETTERS[letter][line] for letter in word) for line in range(3))


def sparkline(values: Sequence[float]) -> str:
    """Return one bar for each value, from zero to the largest."""
    top = max(values, default=0.0) or 1.0
    return "".join(_BARS[min(int(value / top * len(_BARS)), len(_BARS) - 1)] for value in values)


@dataclass(frozen=True)
class StateChange:
    """A line of the last events."""

    at: datetime
    state: ConnectionState
    text: str


def add_state_change(status: Status, changes: deque[StateChange], *, show_accounts: bool) -> None:
    """Add a status to the changes, if it is new. Each of ``_PASSING_STATES`` has one line, with its latest reason."""
    last = changes[-1] if changes else None
    text = masked_text(status.reason, status, show_accounts)
    if last is not None and last.state is status.state:
        if last.text == text:
            return
        if status.state in _PASSING_STATES:
            changes[-1] = replace(last, text=text)
            return
    changes.append(StateChange(status.as_of, status.state, text))


@dataclass(frozen=True)
class WatchScreen:
    """Everything on the screen at one moment, with as many state changes as there is room for.

    Attributes:
        key_help: The keys that the user can press.
        gap: The last gap report.
        advice: What to do about a failure.
        details: The contents of the side panels, where there is room.
        gap_text: The last gap, if another program has the report.
        trouble: Why the screen may be out of date.
    """

    status: Status
    stats: Stats
    changes: deque[StateChange]
    now: datetime
    key_help: str
    gap: GapReport | None = None
    advice: str = ""
    show_accounts: bool = False
    details: Details | None = None
    gap_text: str = ""
    trouble: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height, width = options.height or console.height, options.max_width
        is_wide = self.details is not None and width >= _SIDE_FROM
        left = options.update(width=_STATUS_COLUMNS if is_wide else width, height=None)
        room = height - 1
        lines = console.render_lines(self._top(left.max_width), left, pad=is_wide)
        if self.details is not None and not is_wide and room - len(lines) > _PANELS_BELOW_FROM:
            panels = SidePanels(self.details, room - len(lines) - _PANELS_BELOW_FROM // 2)
            lines[-1:-1] = console.render_lines(panels, left, pad=False)
        changes = console.render_lines(self._last_changes(max(0, room - len(lines))), left, pad=is_wide)
        lines = [*lines, *changes, *[[]] * height][:room]
        if is_wide and self.details is not None:
            beside = options.update(width=width - _STATUS_COLUMNS - 2, height=None)
            lines = _beside(lines, console.render_lines(SidePanels(self.details, room), beside, pad=False))
        for line in lines:
            yield from line
            yield Text("\n", end="")
        yield Text(self.key_help, style="reverse", end="", no_wrap=True, overflow="ellipsis")

    def _top(self, width: int) -> Group:
        rule = Rule("Last events", align="left", style="dim")
        notice = [Text(self.trouble, style="bold red", no_wrap=True, overflow="ellipsis")] if self.trouble else []
        return Group(self._headline(width), *notice, self._rows(), rule)

    def _headline(self, width: int) -> Panel:
        status, style = self.status, state_style(self.status.state)
        head = Table.grid(expand=True)
        head.add_column(no_wrap=True)
        head.add_column(justify="right", no_wrap=True)
        word = banner(status.state) if width >= _BANNER_COLUMNS else str(status.state)
        head.add_row(Text(word, style=style), Text(self._age(), style="dim"))
        reason = masked_text(status.reason, status, self.show_accounts)
        lines = [Text(reason, style=style)] + ([Text(self.advice)] if self.advice else [])
        return Panel(
            Group(head, *lines),
            title=escape(gateway_text(status)),
            title_align="left",
            box=box.ROUNDED,
            border_style=style.removeprefix("bold "),
        )

    def _age(self) -> str:
        since = self.status.since
        outages = f"{self.status.outages} outage{'' if self.status.outages == 1 else 's'}"
        return f"for {_duration(self.now - since)}\nsince {since.astimezone():%H:%M:%S}\n{outages}"

    def _rows(self) -> Table:
        status, stats = self.status, self.stats
        rows = Table.grid(padding=(0, 2), expand=True)
        rows.add_column(style="bold", no_wrap=True)
        rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        add_alert_rows(rows, status)
        why_not = "see the reason above" if status.may_trade_reason == status.reason else status.may_trade_reason
        rows.add_row("Trading", trading_text(status, masked_text(why_not, status, self.show_accounts)))
        rows.add_row("Next attempt", self._next_attempt())
        rows.add_row("Session", f"{status.session}; accounts: {accounts_text(status, self.show_accounts)}")
        rows.add_row("Upstream", upstream_text(status))
        rows.add_row("Data farms", farms_text(status))
        rows.add_row("Round-trip", _round_trip(stats))
        rows.add_row("Subscribed", _subscriptions(stats))
        rows.add_row("Traffic", _traffic(stats))
        rows.add_row("Last gap", self._last_gap())
        return rows

    def _next_attempt(self) -> str:
        status = self.status
        if status.next_retry_at is not None:
            remaining = max(0.0, (status.next_retry_at - self.now).total_seconds())
            return f"[bold]number {status.attempt + 1} in {remaining:.1f} s[/]"
        if status.state in (ConnectionState.CONNECTING, ConnectionState.RECONNECTING):
            return f"number {status.attempt} is in progress"
        return "[dim]none[/]" if status.session is SessionState.NONE else "[dim]none needed[/]"

    def _last_gap(self) -> str:
        gap = self.gap
        if self.gap_text:
            return escape(self.gap_text)
        if gap is None:
            return "[dim]none[/]"
        found = masked_text(gap.summary, gap, self.show_accounts)
        text = escape(f"{gap.end.astimezone():%H:%M:%S}, of {gap.seconds:.1f} s: {found}")
        return f"[bold yellow]{text}[/]" if gap.needs_a_look else text

    def _last_changes(self, number: int) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for change in list(reversed(self.changes))[:number]:
            table.add_row(
                f"{change.at.astimezone():%H:%M:%S}", Text(change.state, state_style(change.state)), Text(change.text)
            )
        return table


def _beside(left: list[list[Segment]], right: list[list[Segment]]) -> list[list[Segment]]:
    blank = [Segment(" " * _STATUS_COLUMNS)]
    right = [*right, *[[]] * len(left)][: len(left)]
    return [[*(line or blank), Segment("  "), *other] for line, other in zip(left, right, strict=True)]


def _round_trip(stats: Stats) -> str:
    if stats.round_trip is None:
        return "[dim]no probe answered yet[/]"
    every, usual = stats.round_trips, median(stats.round_trips)
    bars = sparkline([min(seconds, _OUTLIER * usual) for seconds in every[-_SPARKLINE_LENGTH:]])
    last, usual, longest = 1000 * stats.round_trip, 1000 * usual, 1000 * max(every)
    return f"[cyan]{bars}[/] {last:.1f} ms (median {usual:.1f}, longest {longest:.1f})"


def _subscriptions(stats: Stats) -> str:
    of = stats.subscriptions
    usual = f"{of.live} live, {of.sent} sent, {of.wanted} wanted, {of.refused} refused"
    if usual == "0 live, 0 sent, 0 wanted, 0 refused" and not (of.silent or of.withheld):
        return "[dim]nothing[/]"
    rare = [f"{number} {state}" for state, number in (("silent", of.silent), ("withheld", of.withheld)) if number]
    return ", ".join([usual, *rare])


def _traffic(stats: Stats) -> str:
    stalls = f"; loop stalls: {stats.loop_stalls}" if stats.loop_stalls else ""
    return f"in {_size(stats.bytes_in)} ({stats.messages_in:,} messages), out {_size(stats.bytes_out)}{stalls}"


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _duration(span: timedelta) -> str:
    minutes, seconds = divmod(max(0, int(span.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
