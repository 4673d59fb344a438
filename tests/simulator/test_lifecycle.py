"""Start and stop, in a loop and in a thread; the gateway's record."""

import asyncio
import gc
import logging
import socket
import sys
import threading

import pytest
from ib_async import IB

from ibkr.simulator import FAULTS, FaultError, Gateway, ThreadedGateway
from tests.fixture_types import Stopwatch


def open_sockets() -> set[int]:
    gc.collect()
    return {item.fileno() for item in gc.get_objects() if isinstance(item, socket.socket)} - {-1}


def live_timers() -> list[asyncio.TimerHandle]:
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [handle for handle in scheduled if not handle.cancelled()]


def receive_all(client: socket.socket) -> None:
    while client.recv(65536):
        pass


class TestStop:
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_nothing_is_left_behind_whatever_went_on(self, connect, fault: str) -> None:
        before, tasks = open_sockets(), asyncio.all_tasks()
        gateway = Gateway(tick_interval=0.005, id_hold=100, control_port=0)
        await gateway.start()
        control = await connect(gateway.control_port)
        client = await connect(gateway.port, 7)
        client.subscribe(5)
        await client.until(58)
        samples = {"seconds": 100, "client_id": 7, "request": "reqPositions", "repeats": 9, "bytes_per_second": 1}
        samples |= {"message": "tickPrice"}
        takes = {item.name for item in FAULTS[fault].parameters}
        await gateway.fault(fault, **{name: value for name, value in samples.items() if name in takes})
        if gateway.is_listening:
            late = await connect(gateway.port)
            late.send_raw(b"API\0\0\0\0\tv100..178")
            await gateway.wait_for(lambda gateway: gateway.seen.connects == 2)
        await gateway.stop()
        assert live_timers() == []
        for raw in (client, control):
            await raw.ended()
            await raw.close()
        if gateway.seen.connects == 2:
            await late.close()
        assert asyncio.all_tasks() == tasks
        assert open_sockets() == before
        with pytest.raises(ConnectionRefusedError):
            await connect(gateway.port)

    async def test_answers_that_wait_are_dropped(self, connect) -> None:
        async with Gateway() as gateway:
            client = await connect(gateway.port, 7)
            await gateway.fault("delay", 100)
            client.send(49, 1)
            await gateway.wait_for(lambda gateway: gateway.seen.received("reqCurrentTime"))
            assert len(live_timers()) == 1
        assert live_timers() == []

    async def test_junk_that_streams_stops(self, connect) -> None:
        async with Gateway() as gateway:
            await gateway.fault("garbage")
            client = await connect(gateway.port)
            client.send_raw(b"API\0")
            await client.reader.readexactly(200_000)
            assert len(live_timers()) == 1
        assert live_timers() == []

    async def test_twice_is_harmless(self) -> None:
        gateway = Gateway()
        await gateway.start()
        await gateway.stop()
        await gateway.stop()

    async def test_it_may_be_started_again_on_the_same_port(self, connect) -> None:
        gateway = Gateway()
        await gateway.start()
        port = gateway.port
        await connect(port, 7)
        await gateway.stop()
        await gateway.start()
        assert gateway.port == port
        await connect(port, 7)
        await gateway.stop()


class TestStart:
    async def test_twice_is_refused(self, gateway) -> None:
        with pytest.raises(RuntimeError, match=f"already listens on port {gateway.port}"):
            await gateway.start()

    async def test_a_port_in_use_is_an_os_error(self, gateway) -> None:
        with pytest.raises(OSError, match=r"\d"):
            await Gateway(port=gateway.port).start()

    async def test_a_control_port_in_use_leaves_nothing_open(self, gateway, connect) -> None:
        other = Gateway(control_port=gateway.port)
        with pytest.raises(OSError, match=r"\d"):
            await other.start()
        with pytest.raises(ConnectionRefusedError):
            await connect(other.port)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"accounts": ()}, "accounts"),
            ({"accounts": "DU1"}, "accounts"),
            ({"server_version": 227}, "choose 100 to 226"),
            ({"server_version": 76}, "choose 100 to 226"),
            ({"tick_interval": 0}, "tick_interval"),
            ({"tick_interval": float("nan")}, "tick_interval: more than 0 s is needed, not nan"),
            ({"id_hold": -1.0}, "id_hold: 0 or more is needed, not -1"),
            ({"id_hold": float("nan")}, "id_hold: 0 or more is needed, not nan"),
            ({"max_clients": 0}, "max_clients: 1 or more is needed, not 0"),
            ({"next_order_id": -3}, "next_order_id: 0 or more is needed, not -3"),
        ],
    )
    def test_wrong_options_are_refused(self, options: dict[str, object], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            Gateway(**options)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
    async def test_beyond_loopback_is_warned_of(self, connect, caplog, host: str, warns: bool) -> None:
        async with Gateway(host) as gateway:
            await connect(gateway.port, 1)
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert [f"listens on {host}" in record.getMessage() for record in warnings] == [True] * warns

    async def test_another_listener_on_the_port_after_a_restart_is_reported_loudly(
        self, gateway, connect, caplog
    ) -> None:
        await gateway.fault("restart", 0.02)
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("127.0.0.1", gateway.port))
            thief.listen()
            await gateway.wait_for(lambda _: "cannot listen on port" in caplog.text)
        await gateway.wait_for(lambda gateway: gateway.is_listening)
        await connect(gateway.port, 1)
        assert caplog.text.count("cannot listen") == 1

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be held beside its listener")
    async def test_a_port_that_is_shut_refuses_and_is_given_to_nobody_else(self, gateway, connect) -> None:
        home = gateway.port
        await gateway.fault("change_port")
        await gateway.wait_for(lambda gateway: gateway.is_listening)
        ports = (home, gateway.port)
        await gateway.fault("restart", 100)
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                await connect(port)
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
        await gateway.fault("clear")
        await gateway.wait_for(lambda gateway: gateway.is_listening)
        await connect(home, 1)
        await gateway.stop()
        for port in ports:
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                other.bind(("127.0.0.1", port))
                other.listen()


class TestSeen:
    async def test_connections_sessions_requests(self, gateway, connect) -> None:
        before = asyncio.get_running_loop().time()
        await connect(gateway.port)
        client = await connect(gateway.port, 7)
        client.send(61, 1)
        await client.until(62)
        seen = gateway.seen
        assert seen.connects == len(seen.attempts) == 2
        assert all(before <= moment <= asyncio.get_running_loop().time() for moment in seen.attempts)
        assert [(session.client_id, session.server_version) for session in seen.sessions] == [(7, 178)]
        assert [(item.client_id, item.name, item.fields) for item in seen.requests] == [
            (-1, "startApi", ("71", "2", "7", "")),
            (7, "reqPositions", ("61", "1")),
        ]
        assert "2 connects, 1 sessions" in str(seen)

    async def test_wait_for_is_woken_by_the_event(self, gateway, connect) -> None:
        waiting = asyncio.ensure_future(gateway.wait_for(lambda gateway: 7 in gateway.client_ids))
        await connect(gateway.port, 7)
        await asyncio.wait_for(waiting, 10)

    async def test_wait_for_tells_what_was_seen(self, gateway, connect) -> None:
        client = await connect(gateway.port, 7)
        client.subscribe(5)
        await client.until(58)
        with pytest.raises(TimeoutError, match=r"not true after 0.02 s; seen: 1 connects.*\{7: \['AAPL'\]\}"):
            await gateway.wait_for(lambda _: False, 0.02)

    async def test_a_predicate_that_fails_fails_the_wait_alone(self, gateway, connect) -> None:
        waiting = asyncio.ensure_future(gateway.wait_for(lambda gateway: gateway.seen.connects and 1 // 0))
        await asyncio.sleep(0)
        await connect(gateway.port, 7)
        with pytest.raises(ZeroDivisionError):
            await waiting

    async def test_lists_are_bounded(self, gateway) -> None:
        for items in (gateway.seen.attempts, gateway.seen.requests, gateway.seen.sessions, gateway.seen.faults):
            assert items.maxlen == 10_000


class TestThreaded:
    def test_from_a_synchronous_program(self) -> None:
        threads = threading.active_count()
        with ThreadedGateway(tick_interval=0.005) as gateway:
            with socket.create_connection(("127.0.0.1", gateway.port), 2) as client:
                client.sendall(b"API\0\0\0\0\tv100..157")
                assert client.recv(100)[4:8] == b"157\0"
                client.sendall(b"\0\0\0\x0771\x002\x007\x00\0")
                gateway.wait_for(lambda gateway: gateway.client_ids == [7])
                gateway.fault("reset")
                with pytest.raises(ConnectionResetError):
                    receive_all(client)
            assert gateway.seen.connects == 1
            assert gateway.client_ids == []
            assert repr(gateway) == f"<ThreadedGateway 127.0.0.1:{gateway.port} listening>"
        assert threading.active_count() == threads
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", gateway.port), 2)

    def test_in_its_own_thread_it_does_not_wait_for_itself(self) -> None:
        with ThreadedGateway() as gateway:
            assert gateway.call(lambda _: gateway.client_ids) == []
            with pytest.raises(RuntimeError, match="would wait for itself"):
                gateway.call(lambda _: gateway.fault("reset"))

    async def test_with_a_client_in_another_loop(self, ib: IB) -> None:
        with ThreadedGateway() as gateway:
            await ib.connectAsync("127.0.0.1", gateway.port, clientId=7, timeout=10)
            assert len(gateway.seen.received("reqPositions")) == 1
            ib.disconnect()
            gateway.wait_for(lambda gateway: gateway.client_ids == [])

    def test_what_it_saw_stands_still(self) -> None:
        with ThreadedGateway() as gateway:
            seen = gateway.seen
            socket.create_connection(("127.0.0.1", gateway.port), 2).close()
            gateway.wait_for(lambda gateway: gateway.seen.connects == 1)
            assert seen.connects == 0
        assert gateway.seen.connects == 1

    def test_errors_come_to_the_caller(self) -> None:
        with ThreadedGateway() as gateway:
            with pytest.raises(FaultError):
                gateway.fault("resett")
            with pytest.raises(TimeoutError, match=r"not true after 0\.01 s"):
                gateway.wait_for(lambda _: False, 0.01)
            other = ThreadedGateway(port=gateway.port)
            with pytest.raises(OSError, match=r"\d"):
                other.start()
            with pytest.raises(RuntimeError, match="already started"):
                gateway.start()
        with pytest.raises(RuntimeError, match="is not running"):
            gateway.fault("reset")
        gateway.stop()

    def test_start_and_stop_are_quick(self, stopwatch: Stopwatch) -> None:
        elapsed = stopwatch()
        for _ in range(10):
            with ThreadedGateway():
                pass
        assert elapsed() < 2
