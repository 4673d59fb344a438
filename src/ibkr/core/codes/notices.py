"""What the words of a notice say, besides its code."""

from __future__ import annotations

import re

from ibkr.core.state import Feed


def farm_name(text: str) -> str:
    """The farm that a farm notice names, or ''.

    It stands last, after ':' ("... connection is OK:usfarm"), and in 2107 and 2108 after '.' ("... upon
    demand.ushmds").
    """
    match = re.search(r"[:.]\s*([\w.-]+)\s*$", text) if ":" in text else re.search(r"\.\s*(\w[\w.-]*)\s*$", text)
    return match.group(1) if match else ""


def connected_farms(text: str) -> tuple[str, ...]:
    """The farms in 1102's text ("... All data farms are connected: usfarm; ushmds."); empty when it lists none."""
    _, found, names = text.partition("data farms are connected:")
    return tuple(name.strip(" .") for name in names.split(";") if name.strip(" .")) if found else ()


def feed_of(farm: str) -> Feed:
    """What the farm of this name delivers: ushmds and euhmds are HMDS, secdefnj and the like definitions."""
    name = farm.lower()
    if "hmds" in name:
        return Feed.HISTORY
    return Feed.DEFINITIONS if name.startswith("secdef") else Feed.MARKET


def new_port(text: str) -> int | None:
    """The port that 1300's text names at its end, if it is one."""
    match = re.search(r"(?<!\d)(\d{1,5})\D*$", text)
    port = int(match.group(1)) if match else 0
    return port if 0 < port < 65536 else None
