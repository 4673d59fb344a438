"""Runs many programs on many computers as one fleet, on NATS JetStream: leases of client ids, hot standbys, one board.

- ``election`` takes, renews and loses a lease. ``Election.watch_expiry`` reports when a lease may no longer be
  trusted; ``Member.why_not_held`` checks the same for each order. ``core.halt_and_lease`` stores the lease, and
  ``core.status_fields`` makes ``may_trade`` false while the lease is not held.
- ``member`` is the interface for a connector; ``membership_thread`` does its work.
- ``administration`` has the commands of an operator; ``board`` collects the state of all programs.
- ``nats_store`` and ``subjects`` say what is stored in NATS, and where.

Only a program that is in a fleet imports this package. It needs the extra ``fleet``.
"""
