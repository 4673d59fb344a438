"""Removes account ids, host names, addresses and the home directory from a text, for a bug report."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from pathlib import Path

from ibkr.core.account_masking import mask_accounts

_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|(?<![\w:])[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:.%\w]*")


def redacted(text: str, *, host: str, accounts: Iterable[str]) -> str:
    """Return the text without anything that identifies the user. Loopback addresses stay."""
    text = mask_accounts(text, accounts)
    text = text.replace(str(Path.home()), "~")
    text = _ADDRESS.sub(lambda match: _redacted_address(match.group()), text)
    is_name = host not in ("", "localhost") and not _is_address(host)
    return re.sub(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", "<host>", text) if is_name else text


def _redacted_address(text: str) -> str:
    return "<address>" if _is_address(text) and not ipaddress.ip_address(text.partition("%")[0]).is_loopback else text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
