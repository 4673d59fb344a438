"""Parses the text of notices: names of data farms, and the port of 1300."""

from __future__ import annotations

import re

from ibkr.core.states import Feed

_LONGEST_NAME = 64
_LONGEST_LIST = 4096


def farm_name(text: str) -> str:
    """Return the farm that a farm notice names, or an empty text.

    The name is the last word. It usually follows ':' ("... connection is OK:usfarm"). In 2107 and 2108, it follows '.'
    ("... upon demand.ushmds").
    """
    text = text[-2 * _LONGEST_NAME :]
    match = re.search(r"[:.]\s*([\w.-]+)\s*$", text) if ":" in text else re.search(r"\.\s*(\w[\w.-]*)\s*$", text)
    return match.group(1)[:_LONGEST_NAME] if match else ""


def connected_farms(text: str) -> tuple[str, ...]:
    """The farms in the text of 1102 ("... All data farms are connected: usfarm; ushmds."). Empty if it lists none."""
    _, found, names = text[:_LONGEST_LIST].partition("data farms are connected:")
    return tuple(name.strip(" .")[:_LONGEST_NAME] for name in names.split(";") if name.strip(" .")) if found else ()


def feed_of(farm: str) -> Feed:
    """Return what this farm delivers. For example, ushmds delivers history (HMDS), and secdefnj definitions."""
    name = farm.lower()
    if "hmds" in name:
        return Feed.HISTORY
    return Feed.DEFINITIONS if name.startswith("secdef") else Feed.MARKET


def new_port(text: str) -> int | None:
    """The port at the end of the text of 1300, if it is valid."""
    match = re.search(r"(?<!\d)(\d{1,5})\D*$", text[-2 * _LONGEST_NAME :])
    port = int(match.group(1)) if match else 0
    return port if 0 < port < 65536 else None
