"""Sinks: they take each ``Status`` and log, store, count or send it. They import only ``core`` and libraries."""

import logging

# The program decides where its logs go. Without this handler, warnings would go to stderr. It is added here and
# not in ``ibkr``, because the import of logging would double the time of a bare ``import ibkr``.
logging.getLogger("ibkr").addHandler(logging.NullHandler())
