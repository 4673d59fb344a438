"""Keeps the program's subscriptions through every loss, and requests them again.

``kinds`` is the table of subscription kinds. ``library_maps`` knows where the client library keeps each kind.
``manager`` does the rest, which is the same for all kinds.
"""

from ibkr.session.subscriptions.manager import SubscriptionManager

__all__ = ["SubscriptionManager"]
