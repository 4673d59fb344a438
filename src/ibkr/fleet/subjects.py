"""The buckets, keys and subjects of a fleet in NATS, and who may write to them.

A key-value bucket ``B`` is the stream ``KV_B``, and its key ``K`` is the subject ``$KV.B.K``. In the keys below,
``GATEWAY`` is one word (see ``core.fleet_settings.gateway_token``), ``NAME`` is the program's name, and ``SLOT`` is 0
for the leader and 1 or more for a standby.
"""

from __future__ import annotations

import json

from ibkr.core.fleet_settings import check_name

LEASES = "ibkr_leases"
"""``GATEWAY.NAME.SLOT``: the holder of a lease. The entry expires unless it is renewed."""
IDS = "ibkr_ids"
"""``GATEWAY.CLIENT_ID``: the name and slot that the client id is assigned to. The entry never expires."""
MEMBERS = "ibkr_members"
"""``GATEWAY.NAME.INSTANCE``: the last heartbeat of one process."""
HALT = "ibkr_halt"
"""``halt``: why no program may send new orders. ``cancelled.GATEWAY``: the last cancel that it has received."""
EVENTS = "IBKR_EVENTS"
"""The stream of status changes, outages and gap reports."""
BUCKETS = (LEASES, IDS, MEMBERS, HALT)

STANDBY_SLOTS = range(1, 10)
"""The slots for standbys."""
MEMBER_TTL = 86400.0
"""Seconds for which a program that ended without leaving the fleet is shown as lost."""
EVENT_MAX_AGE = 30 * 86400.0
HALT_KEY = "halt"


def lease_key(gateway: str, name: str, slot: int) -> str:
    """Return the key of a lease."""
    return f"{gateway}.{name}.{slot}"


def event_subject(gateway: str, name: str, kind: str) -> str:
    """Return the subject for events of one program."""
    return f"ibkr.events.{gateway}.{name}.{kind}"


def command_subject(gateway: str, name: str) -> str:
    """Return the subject on which the leader takes commands."""
    return f"ibkr.command.{gateway}.{name}"


def member_permissions(name: str) -> dict[str, object]:
    """Return what a program of this name may publish and subscribe to, as in the server's configuration.

    Raises ``ConfigError`` if no program can have this name.
    """
    check_name(name)
    reads = [f"$JS.API.STREAM.INFO.{stream}" for stream in (*(f"KV_{each}" for each in BUCKETS), EVENTS)]
    for bucket in (LEASES, IDS, HALT):
        stream = f"KV_{bucket}"
        reads += [
            f"$JS.API.DIRECT.GET.{stream}.>",
            f"$JS.API.STREAM.MSG.GET.{stream}",
            f"$JS.API.CONSUMER.CREATE.{stream}.>",
            f"$JS.API.CONSUMER.CREATE.{stream}",
            f"$JS.API.CONSUMER.INFO.{stream}.>",
            f"$JS.API.CONSUMER.DELETE.{stream}.>",
        ]
    writes = [
        f"$KV.{LEASES}.*.{name}.*",
        f"$KV.{IDS}.*.*",
        f"$KV.{MEMBERS}.*.{name}.*",
        f"$KV.{HALT}.cancelled.*",
        f"ibkr.events.*.{name}.*",
        "$JS.FC.>",
    ]
    return {
        "publish": {"allow": [*reads, *writes]},
        "subscribe": {"allow": [f"_INBOX_{name}.>", f"ibkr.command.*.{name}"]},
        "allow_responses": True,  # answers to commands
    }


def server_user(name: str, password: str) -> str:
    """Return one user with the permissions of a member, as in the server's configuration."""
    permissions = json.dumps(member_permissions(name), indent=2)
    return f'{{user: "{name}", password: "{password}", permissions: {permissions}}}'
