"""Sinks: they take a ``Status`` and tell it. They know the core and their own library, nothing else of ours."""

import logging

# The program decides where its logs go; without a handler of its own, ours stay quiet. Here and not in ``ibkr``:
# importing logging would double the time of a bare ``import ibkr``.
logging.getLogger("ibkr").addHandler(logging.NullHandler())
