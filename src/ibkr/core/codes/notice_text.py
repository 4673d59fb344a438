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
    """The farms that the text of 1101 or 1102 lists as connected. Empty if it lists none.

    Real texts: "... All data farms are connected: usfarm; ushmds." and "... The following farms are connected: usfarm.
    The following farms are not connected: ushmds."
    """
    return _listed_farms(text, "connected")


def disconnected_farms(text: str) -> tuple[str, ...]:
    """The farms that the text of 1101 or 1102 lists as not connected. Empty if it lists none."""
    return _listed_farms(text, "not connected")


def _listed_farms(text: str, words: str) -> tuple[str, ...]:
    """The farms after these words. A name may contain a full stop, so the list ends at the next list or at the end."""
    for part in text[:_LONGEST_LIST].split("The following"):
        _, found, names = part.partition(f"farms are {words}:")
        if found:
            return tuple(name.strip(" .")[:_LONGEST_NAME] for name in names.split(";") if name.strip(" ."))
    return ()


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
