"""Answers about accounts, positions, and profit and loss."""
