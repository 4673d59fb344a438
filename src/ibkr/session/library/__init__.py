"""Adapts the client library.

Only this package knows the library's internals. The one exception is ``session.subscriptions.library_maps``, which
fills the public maps of the library's wrapper.

``adopt`` changes the classes of an ``IB`` object of ib_async or ib_insync and of its client, wrapper, decoder and
connection to the subclasses in this package. Nothing is replaced on an instance or a class. The subclasses call the
rest of ``session`` through two protocols: ``IncomingHooks`` for what arrives, and ``Hooks`` for requests. ``contract``
lists what the subclasses rely on in the library, and checks first that the installed version has it.
"""

from ibkr.session.library.adopt import Library, adopt, new_ib
from ibkr.session.library.hooks import Answer, Arguments, Hooks, Recording, StatusRow

__all__ = ["Answer", "Arguments", "Hooks", "Library", "Recording", "StatusRow", "adopt", "new_ib"]
