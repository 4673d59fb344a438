"""Custody: the subscriptions that the program holds, kept through any loss and asked for again.

``kinds`` is the table of what can be subscribed to, ``homes`` knows where each lives in the library's maps, ``keeper``
does the rest, the same for all.
"""

from ibkr.session.custody.keeper import Custody

__all__ = ["Custody"]
