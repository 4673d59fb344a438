"""Requests about accounts, positions, and profit and loss (PnL)."""
