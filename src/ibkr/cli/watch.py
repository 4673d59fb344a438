"""``ibkr watch``: one connection, followed for as long as somebody looks."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import typer
from rich.console import Console
from rich.live import Live

from ibkr.cli.keys import Keys
from ibkr.cli.options import ClientIdOption, ConfigOption, HostOption, JsonOption, PortOption, TimeoutOption, configured
from ibkr.cli.render import masked
from ibkr.cli.screen import Event, Screen, note
from ibkr.cli.signals import call_on_stop
from ibkr.cli.status import last_cause, tell_error
from ibkr.config import Config
from ibkr.connector import IBConnector
from ibkr.core.errors import ConnectError
from ibkr.core.gap import GapReport
from ibkr.core.state import ConnectionState
from ibkr.core.status import Status

_EVERY = 0.2
"""Seconds from look to look at the keyboard; a countdown moves as often, all else once a second."""

_KEPT_EVENTS = 100


def watch(
    as_json: JsonOption = False,
    host: HostOption = None,
    port: PortOption = None,
    client_id: ClientIdOption = None,
    timeout: TimeoutOption = None,
    config: ConfigOption = None,
) -> None:
    """Watch a connection live: its state, why, and what comes next.

    A screen where stdout is a terminal: r reconnects, q quits. Elsewhere a
    line for each change, until Ctrl-C. It may start before the gateway does.

    Exit code 1 when the connection has failed for good, otherwise 0.
    """
    cfg = configured(config, host, port, client_id, timeout)
    found = asyncio.run(_watch(cfg, as_json=as_json))
    if found.state is ConnectionState.FAILED:
        if error := last_cause(found):
            tell_error(error, found)
        raise typer.Exit(1)


async def _watch(cfg: Config, *, as_json: bool) -> Status:
    """Follow the connection until told to stop; how it stood then."""
    from ibkr.gateway.follower import follow_gateway  # it would slow down every other command

    async with _Following(cfg) as following, follow_gateway(cfg.ibkr.gateway, following.connector):
        console = Console()
        if sys.stdout.isatty() and not as_json and not console.is_dumb_terminal and console.encoding == "utf-8":
            await _show(following, console)
        else:
            await _print_lines(following, as_json=as_json)
        return following.connector.status


class _Following:
    """A connection that is made until it works.

    ``news`` has each status and gap report in turn, and None when it is time to stop.
    """

    def __init__(self, cfg: Config) -> None:
        self.connector = IBConnector.from_config(cfg)
        self.show_accounts = cfg.ibkr.show_accounts
        self.news: asyncio.Queue[Status | GapReport | None] = asyncio.Queue()

    def again(self) -> None:
        """Drop the session, if there is one, and make the next attempt now."""
        if self.connector.status.state is ConnectionState.FAILED:
            self._connecting = asyncio.create_task(self._connect())
        else:
            self.connector.reconnect()

    async def some_news(self, seconds: float) -> list[Status | GapReport | None]:
        """All the news that there are; what comes first within so many seconds, if there are none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                news = [await self.news.get()]
                while not self.news.empty():
                    news.append(self.news.get_nowait())
                return news
        return []

    async def __aenter__(self) -> Self:
        call_on_stop(lambda: self.news.put_nowait(None))
        self.connector.on_status(self.news.put_nowait)
        self.connector.on_gap(self.news.put_nowait)
        self._connecting = asyncio.create_task(self._connect())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connecting.cancel()
        with suppress(asyncio.CancelledError):
            await self._connecting
        await self.connector.disconnect_async()

    async def _connect(self) -> None:
        with suppress(ConnectError):  # the status says it, too, and stays
            await self.connector.connect_async(wait=True)


async def _print_lines(following: _Following, *, as_json: bool) -> None:
    """A line for each change, or in JSON for each status and gap report; until it has failed, or is time to stop."""
    told: dict[type[Status | GapReport], str] = {}
    while (news := await following.news.get()) is not None:
        at, words = _in_words(news, following.show_accounts)
        if as_json:
            print(json.dumps(_in_json(news, following)), flush=True)
        elif words != told.get(type(news)):
            print(f"{at.astimezone().isoformat(' ', 'seconds')}  {words}", flush=True)
        told[type(news)] = words
        if isinstance(news, Status) and news.state is ConnectionState.FAILED:
            return


def _in_words(news: Status | GapReport, show_accounts: bool) -> tuple[datetime, str]:
    if isinstance(news, GapReport):
        return news.end, f"gap report: {masked(str(news), news, show_accounts)}"
    trade = "may trade" if news.may_trade else "may not trade"
    return news.as_of, f"{news.state} ({masked(news.reason, news, show_accounts)}); {trade}"


def _in_json(news: Status | GapReport, following: _Following) -> dict[str, Any]:
    told = news.to_dict(show_accounts=following.show_accounts)
    if isinstance(news, GapReport):
        return {"gap": told}
    return {**told, "stats": following.connector.stats.to_dict()}


async def _show(following: _Following, console: Console) -> None:
    """The screen, drawn anew at each change, and as often as its clocks move, until somebody quits."""
    events: deque[Event] = deque(maxlen=_KEPT_EVENTS)
    loop = asyncio.get_running_loop()
    with Keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        due = loop.time()
        while True:
            if loop.time() >= due:
                live.update(_screen(following, events, keys), refresh=True)
                due = loop.time() + (0 if following.connector.status.next_retry_at else 1)
            for item in await following.some_news(_EVERY):
                if item is None:
                    return
                if isinstance(item, Status):
                    note(item, events, show_accounts=following.show_accounts)
                due = loop.time()
            typed = keys.typed()
            if "q" in typed:
                return
            if "r" in typed:
                following.again()


def _screen(following: _Following, events: deque[Event], keys: Keys) -> Screen:
    status = following.connector.status
    is_failed = status.state is ConnectionState.FAILED
    # After a first session, advice on how to make one would only alarm: it comes back.
    error = last_cause(status) if status.state in (ConnectionState.CONNECTING, ConnectionState.FAILED) else None
    typing = f" r  {'try again' if is_failed else 'reconnect now'}    q  quit" if keys.are_there else " Ctrl-C  quit"
    return Screen(
        status,
        following.connector.stats,
        events,
        datetime.now(UTC),
        typing,
        gap=following.connector.last_gap,
        advice=error.advice if error else "",
        show_accounts=following.show_accounts,
    )
