"""The seam to the client library: the only place that knows its internals.

``adopt`` makes an ``IB`` object of ib_async or ib_insync ours: it and its client, wrapper, decoder and connection
become instances of the subclasses in this package. Nothing is replaced on an instance or a class. The subclasses talk
to the rest of ``session`` through one protocol, ``Hooks``. What they rely on in the library is the table in
``contract``, which is checked against the installed version first.
"""

from ibkr.session.library.adopt import Library, adopt, new_ib
from ibkr.session.library.hooks import Arguments, Hooks, StatusRow

__all__ = ["Arguments", "Hooks", "Library", "StatusRow", "adopt", "new_ib"]
