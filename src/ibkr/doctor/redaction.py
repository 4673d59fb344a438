"""Findings for strangers' eyes: no account, no host, no address, nobody's home."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path

from ibkr.core.accounts import mask_accounts

_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|(?<![\w:])[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.%\w]*")


def redacted(text: str, *, host: str, accounts: Iterable[str]) -> str:
    """The text without account ids, the host's name, addresses that are not loopback, and the home directory."""
    text = mask_accounts(text, accounts)
    text = text.replace(str(Path.home()), "~")
    text = _ADDRESS.sub(lambda match: _shown(match.group()), text)
    is_public = host not in ("", "localhost") and not _is_address(host)
    return re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", "<host>", text) if is_public else text


def _shown(text: str) -> str:
    return "<address>" if _is_address(text) and not ipaddress.ip_address(text.partition("%")[0]).is_loopback else text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
