"""Values as JSON has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from ibkr.core.accounts import mask_account, mask_accounts


def plain(value: object) -> object:
    """Dataclasses and mappings as objects, tuples as lists, times in ISO form, enums by their value."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def masked(value: Any, accounts: tuple[str, ...]) -> Any:
    """What ``plain`` gave, with every account id in it masked, in words and where it stands alone."""
    if isinstance(value, dict):
        return {key: mask_account(item) if key == "account" else masked(item, accounts) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, accounts) for item in value]
    return mask_accounts(value, accounts) if isinstance(value, str) else value
