"""Masks account ids in text for people and files."""

import re
from collections.abc import Iterable

# A live id begins with U, F or I. A paper id has a D before this letter. Another letter may follow, then digits.
ACCOUNT_ID = r"\bD?[UFI][A-Z]?\d{5,9}\b"


def mask_account(account: str) -> str:
    """Return the id without its middle: ``DU1234567`` becomes ``DU***67``."""
    letters = account[: len(account) - len(account.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))]
    return f"{letters[:2]}***{account[-2:]}" if len(account) > 4 else "***"


def mask_accounts(text: str, known: Iterable[str] = ()) -> str:
    """The text with every known account id, and everything that looks like one, masked."""
    # Replace the longest id first, because a long id may begin with a shorter one.
    for account in sorted(filter(None, known), key=len, reverse=True):
        text = text.replace(account, mask_account(account))
    return re.sub(ACCOUNT_ID, lambda match: mask_account(match.group()), text)
