"""Without permission for a name, a member can neither take nor end its lease. A real server enforces this."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import nats
import nats.errors
import nats.js.errors
import pytest

from ibkr import Fleet, FleetError, IBConnector
from ibkr.fleet.nats_server import NatsServer
from ibkr.fleet.subjects import BUCKETS, LEASES, server_user
from ibkr.simulator import Gateway
from tests import internals
from tests.fixture_types import StateOf

from .conftest import POLICY
from .test_leadership import leads


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[NatsServer]:
    """A server that knows two programs and an operator."""
    users = [server_user("alpha", "secret-a"), server_user("beta", "secret-b"), '{user: "operator", password: "o"}']
    config = tmp_path / "nats.conf"
    config.write_text("authorization { users = [\n" + ",\n".join(users) + "\n] }\n", encoding="utf-8")
    server = NatsServer(tmp_path / "nats", arguments=["-c", str(config)])
    server.start()
    yield server
    server.stop()


def url(server: NatsServer, user: str, password: str) -> str:
    return server.url.replace("//", f"//{user}:{password}@")


async def make_buckets(server: NatsServer) -> None:
    """Make the buckets, as a person with all rights does once: programs may not make streams."""
    from ibkr.fleet.administration import with_store

    async def nothing(_store: object) -> None:
        return None

    await with_store(Fleet(url(server, "operator", "o"), name="operator", lease=2.0), nothing)


async def attack(guarded: NatsServer, key: str) -> None:
    """Another program tries every way to change the lease. The lease stays the same."""
    thief = await nats.connect(url(guarded, "beta", "secret-b"), error_cb=_ignore, inbox_prefix="_INBOX_beta")
    stream = thief.jetstream(timeout=0.3)
    bucket = await stream.key_value(LEASES)
    before = await bucket.get(key)
    for each in (
        lambda: bucket.put(key, b"{}"),
        lambda: bucket.delete(key),
        lambda: bucket.purge(key),
        lambda: stream.delete_msg(f"KV_{LEASES}", before.revision or 0),
        lambda: stream.purge_stream(f"KV_{LEASES}"),
        lambda: stream.delete_stream(f"KV_{LEASES}"),
        lambda: stream.publish("ibkr.events.x.alpha.status", b"{}"),
        lambda: thief.request("ibkr.command.x.alpha", b"hand-over", 0.3),
    ):
        with pytest.raises((nats.errors.Error, TimeoutError)):
            await each()
    assert (await bucket.get(key)).value[:20] == before.value[:20]  # type: ignore[index]
    await thief.close()


async def test_each_leads_by_its_own_name_alone(guarded: NatsServer, gateway: Gateway, state_of: StateOf) -> None:
    await make_buckets(guarded)
    fleet = Fleet(url(guarded, "alpha", "secret-a"), name="alpha", lease=2.0)
    first = IBConnector("127.0.0.1", gateway.port, None, policy=POLICY, fleet=fleet)
    await first.connect_async()
    await state_of(first, leads)
    member = internals.fleet_member(first)
    key = f"{member.gateway}.alpha.0"

    await attack(guarded, key)
    assert first.may_trade

    stolen = Fleet(url(guarded, "beta", "secret-b"), name="alpha", lease=2.0)
    second = IBConnector("127.0.0.1", gateway.port, None, 1.0, policy=POLICY, fleet=stolen)
    with pytest.raises(FleetError):
        await second.connect_async()
    await second.disconnect_async()
    assert first.may_trade

    own = Fleet(url(guarded, "beta", "secret-b"), name="beta", lease=2.0)
    third = IBConnector("127.0.0.1", gateway.port, None, policy=POLICY, fleet=own)
    await third.connect_async()
    await state_of(third, leads)
    for connector in (first, third):
        await connector.disconnect_async()


async def test_a_wrong_password(guarded: NatsServer, gateway: Gateway) -> None:
    fleet = Fleet(url(guarded, "alpha", "wrong"), name="alpha")
    connector = IBConnector("127.0.0.1", gateway.port, None, 1.0, fleet=fleet)
    with pytest.raises(FleetError, match=r"(?i)authorization") as failed:
        await connector.connect_async()
    assert "wrong" not in str(failed.value)
    await connector.disconnect_async()


async def test_account_ids_are_masked_in_all_that_is_published(
    guarded: NatsServer, gateway: Gateway, state_of: StateOf
) -> None:
    await make_buckets(guarded)
    fleet = Fleet(url(guarded, "alpha", "secret-a"), name="alpha", lease=2.0)
    connector = IBConnector("127.0.0.1", gateway.port, None, policy=POLICY, fleet=fleet, show_accounts=True)
    await connector.connect_async()
    await state_of(connector, leads)
    await gateway.fault("reset")
    await state_of(connector, lambda status: status.outages == 1 and status.may_trade)
    await connector.disconnect_async()
    client = await nats.connect(url(guarded, "operator", "o"))
    found = []
    for stream in (*(f"KV_{bucket}" for bucket in BUCKETS), "IBKR_EVENTS"):
        reader = await client.jetstream().subscribe(">", stream=stream, ordered_consumer=True)
        info = await reader.consumer_info()
        for _ in range((info.num_pending or 0) + (info.delivered.stream_seq if info.delivered else 0)):
            try:
                found.append((await reader.next_msg(0.5)).data)
            except nats.errors.TimeoutError:
                break
        await reader.unsubscribe()
    await client.close()
    assert any(b"DU***67" in each for each in found)
    assert not any(b"DU1234567" in each for each in found)


async def _ignore(_error: Exception) -> None:
    await asyncio.sleep(0)
