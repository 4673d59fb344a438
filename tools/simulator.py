"""Print docs/simulator.md from the simulator's tables: ``python tools/simulator.py > docs/simulator.md``."""

from __future__ import annotations

import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import Any

from ibkr import pytest_plugin
from ibkr.simulator import FAULTS, Gateway, ThreadedGateway, load_scenario, shipped_scenarios
from ibkr.simulator.broker.order_types import ORDER_TYPES, TIMES_IN_FORCE
from ibkr.simulator.fixture_gateway import FixtureGateway
from ibkr.simulator.history.historical_bars import WHAT
from ibkr.simulator.history.history_parameters import BAR_SIZES
from ibkr.simulator.requests.request_handlers import ANSWERS
from ibkr.simulator.requests.request_names import REQUESTS
from ibkr.simulator.streams.generic_ticks import legal_generics
from ibkr.wire import data_messages, messages, order_messages
from ibkr.wire.layout import Layout
from ibkr.wire.message_names import MESSAGE_NAMES

_HEAD = """# The simulated gateway: reference

Generated from the code by `make docs`; do not edit. For an introduction, read
[Test your trading program without TWS](testing.md).
"""
_FIXTURES = ("ib_gateway", "ib_gateway_options", "ib_connector", "ib_connector_options")


def page() -> str:
    """The page, in Markdown."""
    return "\n".join([_HEAD, *_knows(), *_faults(), *_python()])


# --- what it knows -------------------------------------------------------------------------------


def _knows() -> Iterator[str]:
    yield "## What it knows\n"
    yield "### Requests\n"
    answered = [name for name in REQUESTS if name in ANSWERS]
    yield f"It answers {len(answered)} requests: {_names(answered)}.\n"
    others = sorted(REQUESTS.keys() - set(answered))
    yield f"It refuses these with error 322: {_names(others)}.\n" if others else "It knows no other request.\n"
    yield "All other message ids get error 321.\n"
    yield "### Messages that it never sends\n"
    sent = {
        item.name for module in (data_messages, messages, order_messages) for item in vars(module).values() if _is(item)
    }
    yield f"{_names(sorted(MESSAGE_NAMES - sent))}.\n"
    yield "### Instruments\n"
    yield "An instrument that is not in this list gets error 200. Another list: the option `--instruments`, or the"
    yield "argument `instruments`.\n"
    by_kind: dict[str, list[str]] = defaultdict(list)
    for item in Gateway()._state.instruments.listed:
        by_kind[item.sec_type].append(item.symbol)
    yield from _table("kind", "symbols", {kind: _names(dict.fromkeys(names)) for kind, names in by_kind.items()})
    options = sorted({chain.under.symbol for chain in Gateway()._state.instruments.chains})
    yield f"It has option chains of {_names(options)}.\n"
    yield "### Generic ticks\n"
    yield "These numbers are accepted in the generic tick list, by the kind of instrument; others get error 321.\n"
    kinds: dict[str, list[str]] = defaultdict(list)
    for kind in [*by_kind, "OPT"]:
        kinds[", ".join(re.findall(r"(\d+)\(", legal_generics(kind)))].append(kind)
    yield from _table("kinds", "generic ticks", {_names(same): found for found, same in kinds.items() if found})
    yield "### Orders\n"
    yield f"Types: {_names(sorted(ORDER_TYPES))}. Others get error 321.\n"
    yield f"Times in force: {_names(TIMES_IN_FORCE)}. Others get error 10052.\n"
    yield "### Historical bars\n"
    yield f"Sizes: {_names(BAR_SIZES)}.\n"
    yield f"What to show: {_names(sorted(WHAT))}.\n"


def _is(item: object) -> bool:
    return isinstance(item, Layout)


# --- what can go wrong ---------------------------------------------------------------------------


def _faults() -> Iterator[str]:
    yield "## Faults\n"
    yield "As a command: `ibkr simulate fault restart 10 --control 7498`. In Python: `gateway.faults.restart(10)` or"
    yield '`gateway.fault("restart", 10)`. Seconds can be fractions. An argument in brackets has the value that follows'
    yield "if you leave it out.\n"
    yield from _table("fault", "what it does", {f"`{FAULTS[name].usage}`": FAULTS[name].doc for name in sorted(FAULTS)})
    yield "## Scenarios\n"
    yield from _table("scenario", "what happens", {f"`{item.name}`": item.about for item in shipped_scenarios()})


# --- every call ----------------------------------------------------------------------------------


def _python() -> Iterator[str]:
    yield "## Python\n"
    yield "### Fixtures for pytest\n"
    for name in _FIXTURES:
        yield from _text(f"`{name}`", inspect.getdoc(getattr(pytest_plugin, name)) or "")
    yield f"### `FixtureGateway`\n\n{_first(FixtureGateway)}\n\nIt has all members of `ThreadedGateway`, and these:\n"
    yield from _members(FixtureGateway)
    yield f"### `ThreadedGateway(**options)`\n\n{_first(ThreadedGateway)}\n"
    yield "A member that refers to `Gateway` has the same arguments and returns the same.\n"
    yield from _members(ThreadedGateway)
    yield "### `Gateway`\n"
    yield from _text(f"`Gateway{_signature(Gateway.__init__)}`", inspect.getdoc(Gateway) or "")
    yield from _members(Gateway)
    yield "### Functions\n"
    for function in (load_scenario, shipped_scenarios):
        yield from _text(f"`{function.__name__}{_signature(function)}`", inspect.getdoc(function) or "")


def _members(owner: type) -> Iterator[str]:
    for name, member in vars(owner).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield from _text(f"`{name}`", inspect.getdoc(member) or "")
        elif inspect.isfunction(member):
            waited = "await " if inspect.iscoroutinefunction(member) else ""
            yield from _text(f"`{waited}{name}{_signature(member)}`", inspect.getdoc(member) or "")


def _signature(function: Callable[..., Any]) -> str:
    """The arguments, with the defaults that can be read."""
    words: list[str] = []
    for item in inspect.signature(function).parameters.values():
        if item.name == "self":
            continue
        if item.kind is item.KEYWORD_ONLY and "*" not in words and not any(word.startswith("*") for word in words):
            words.append("*")
        star = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(item.kind.name, "")
        is_plain = item.default is None or isinstance(item.default, str | int | float | tuple)
        default = "" if item.default is item.empty else f"={item.default!r}" if is_plain else "=..."
        words.append(f"{star}{item.name}{default}")
    return f"({', '.join(words)})"


def _text(head: str, doc: str) -> Iterator[str]:
    """A member: its heading, its description, and its arguments as a list."""
    text, *sections = re.split(r"^(?=(?:Args|Returns|Raises):$)", doc.replace("``", "`"), flags=re.MULTILINE)
    yield f"**{head}**\n\n{text.strip()}\n"
    for section in sections:
        title, _, body = section.partition("\n")
        items = re.split(r"^    (?=\S)", body, flags=re.MULTILINE)[1:]
        lines = [re.sub(r"^(\w+): ", r"`\1`: ", " ".join(item.split())) for item in items]
        if title == "Returns:":
            yield f"{title} {' '.join(lines)}\n"
        else:
            yield "\n".join([f"{title}\n", *(f"- {line}" for line in lines)]) + "\n"


def _first(owner: type) -> str:
    return (inspect.getdoc(owner) or "").replace("``", "`")


def _names(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _table(left: str, right: str, rows: dict[str, str]) -> Iterator[str]:
    yield f"| {left} | {right} |\n|---|---|"
    for key, value in rows.items():
        cells = (text.replace("|", "\\|") for text in (key, value))
        yield f"| {' | '.join(cells)} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page())
