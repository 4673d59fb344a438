"""Runs API sessions with the client library: start-up, orders, subscriptions. ``library`` adapts the client library."""
