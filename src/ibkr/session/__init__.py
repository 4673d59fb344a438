"""One API session on a client library: start-up, orders, subscriptions. ``library`` is the seam to that library."""
