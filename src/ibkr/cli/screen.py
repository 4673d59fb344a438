"""The screen of ``ibkr watch``: one connection on 80 columns and 24 lines, or more."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.markup import escape
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ibkr.cli.letters import large, sparkline
from ibkr.cli.render import accounts, add_alert, farms, gateway, masked, state_style, trading, upstream
from ibkr.core.gap import GapReport
from ibkr.core.state import ConnectionState, SessionState
from ibkr.core.stats import Stats
from ibkr.core.status import Status

_BARS = 24
_OUTLIER = 4
"""So many times the median is a full bar: one slow answer would make all others flat."""
_ROOM_FOR_LARGE = 72
"""Columns that the longest state in large letters needs, with its age beside it."""
_PASSING = (ConnectionState.CONNECTING, ConnectionState.RECONNECTING, ConnectionState.SYNCING)


@dataclass(frozen=True)
class Event:
    """What is told of a moment in the past."""

    at: datetime
    state: ConnectionState
    words: str


def note(status: Status, events: deque[Event], *, show_accounts: bool) -> None:
    """Add a status to the events, if it says something new; a state that passes has one line for its latest reason."""
    last = events[-1] if events else None
    words = masked(status.reason, status, show_accounts)
    if last is not None and last.state is status.state:
        if last.words == words:
            return
        if status.state in _PASSING:
            events[-1] = replace(last, words=words)
            return
    events.append(Event(status.as_of, status.state, words))


@dataclass(frozen=True)
class Screen:
    """All that is shown at one moment; as many of the last events as there is room for."""

    status: Status
    stats: Stats
    events: deque[Event]
    now: datetime
    keys: str
    """What can be typed."""
    gap: GapReport | None = None
    """The last one."""
    advice: str = ""
    """What to do about a failure."""
    show_accounts: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.height
        top = Group(self._headline(options.max_width), self._rows(), Rule("Last events", align="left", style="dim"))
        lines = console.render_lines(top, options.update(height=None), pad=False)
        room = max(0, height - len(lines) - 1)
        events = console.render_lines(self._last_events(room), options.update(height=None), pad=False)
        for line in [*lines, *events, *[[]] * height][: height - 1]:
            yield from line
            yield Text("\n", end="")
        yield Text(self.keys, style="reverse", end="", no_wrap=True, overflow="ellipsis")

    def _headline(self, width: int) -> Panel:
        status, style = self.status, state_style(self.status.state)
        head = Table.grid(expand=True)
        head.add_column(no_wrap=True)
        head.add_column(justify="right", no_wrap=True)
        word = large(status.state) if width >= _ROOM_FOR_LARGE else str(status.state)
        head.add_row(Text(word, style=style), Text(self._age(), style="dim"))
        reason = masked(status.reason, status, self.show_accounts)
        words = [Text(reason, style=style)] + ([Text(self.advice)] if self.advice else [])
        return Panel(
            Group(head, *words),
            title=escape(gateway(status)),
            title_align="left",
            box=box.ROUNDED,
            border_style=style.removeprefix("bold "),
        )

    def _age(self) -> str:
        since = self.status.since
        outages = f"{self.status.outages} outage{'' if self.status.outages == 1 else 's'}"
        return f"for {_length(self.now - since)}\nsince {since.astimezone():%H:%M:%S}\n{outages}"

    def _rows(self) -> Table:
        status, stats = self.status, self.stats
        rows = Table.grid(padding=(0, 2), expand=True)
        rows.add_column(style="bold", no_wrap=True)
        rows.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        add_alert(rows, status)
        why_not = "as above" if status.may_trade_reason == status.reason else status.may_trade_reason
        rows.add_row("Trading", trading(status, masked(why_not, status, self.show_accounts)))
        rows.add_row("Next attempt", self._next_attempt())
        rows.add_row("Session", f"{status.session}; accounts: {accounts(status, self.show_accounts)}")
        rows.add_row("Upstream", upstream(status))
        rows.add_row("Data farms", farms(status))
        rows.add_row("Round-trip", _round_trip(stats))
        rows.add_row("Subscribed", _subscriptions(stats))
        rows.add_row("Traffic", _traffic(stats))
        rows.add_row("Last gap", self._last_gap())
        return rows

    def _next_attempt(self) -> str:
        status = self.status
        if status.next_retry_at is not None:
            left = max(0.0, (status.next_retry_at - self.now).total_seconds())
            return f"[bold]number {status.attempt + 1} in {left:.1f} s[/]"
        if status.state in (ConnectionState.CONNECTING, ConnectionState.RECONNECTING):
            return f"number {status.attempt} is under way"
        return "[dim]none[/]" if status.session is SessionState.NONE else "[dim]none needed[/]"

    def _last_gap(self) -> str:
        gap = self.gap
        if gap is None:
            return "[dim]none[/]"
        found = masked(gap.summary, gap, self.show_accounts)
        told = escape(f"{gap.end.astimezone():%H:%M:%S}, of {gap.seconds:.1f} s: {found}")
        return f"[bold yellow]{told}[/]" if gap.needs_a_look else told

    def _last_events(self, number: int) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for event in list(reversed(self.events))[:number]:
            table.add_row(
                f"{event.at.astimezone():%H:%M:%S}", Text(event.state, state_style(event.state)), Text(event.words)
            )
        return table


def _round_trip(stats: Stats) -> str:
    if stats.round_trip is None:
        return "[dim]no probe was answered yet[/]"
    every, usual = stats.round_trips, median(stats.round_trips)
    bars = sparkline([min(seconds, _OUTLIER * usual) for seconds in every[-_BARS:]])
    last, usual, longest = 1000 * stats.round_trip, 1000 * usual, 1000 * max(every)
    return f"[cyan]{bars}[/] {last:.1f} ms (median {usual:.1f}, longest {longest:.1f})"


def _subscriptions(stats: Stats) -> str:
    of = stats.subscriptions
    if not (of.live or of.sent or of.wanted or of.refused):
        return "[dim]nothing[/]"
    return f"{of.live} live, {of.sent} sent, {of.wanted} wanted, {of.refused} refused"


def _traffic(stats: Stats) -> str:
    stalls = f"; loop stalls: {stats.loop_stalls}" if stats.loop_stalls else ""
    return f"in {_size(stats.bytes_in)} ({stats.messages_in:,} messages), out {_size(stats.bytes_out)}{stalls}"


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _length(span: timedelta) -> str:
    minutes, seconds = divmod(max(0, int(span.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
