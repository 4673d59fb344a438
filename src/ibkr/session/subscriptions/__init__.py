"""What the program has subscribed to: kept through every loss, and asked for again.

``kinds`` is the table of what can be subscribed to, ``library_maps`` knows where the client library keeps each,
``manager`` does the rest, the same for all.
"""

from ibkr.session.subscriptions.manager import SubscriptionManager

__all__ = ["SubscriptionManager"]
