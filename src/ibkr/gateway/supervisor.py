"""The supervisor of one gateway: watches its driver and its API port. ``core.restart_policy`` decides what to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ibkr.config import Config
from ibkr.connector import IBConnector
from ibkr.core.events import Now
from ibkr.core.gateway_status import GatewayState, GatewayStatus
from ibkr.core.gateway_tracker import RestartStarted
from ibkr.core.restart_policy import RESTARTS, Action, Decision, Observation, PortState, RestartPolicy, restart_refusal
from ibkr.core.status import Status
from ibkr.gateway.api_port import api_port_state, count_working_orders, is_port_open, keep_session
from ibkr.gateway.driver_interface import DriverError, GatewayDriver
from ibkr.gateway.drivers import make_driver
from ibkr.gateway.gateway_monitor import NEW_YORK, GatewayMonitor, system_now
from ibkr.gateway.gateway_store import GatewayStore, SupervisorAnswer, SupervisorRequest
from ibkr.gateway.processes import cancel_tasks
from ibkr.gateway.restart_process import restart_process
from ibkr.gateway.supervisor_records import SupervisorRecords

_log = logging.getLogger("ibkr.gateway")

_DECIDE_EVERY = 0.2
_FIRST_STATUS_TIMEOUT = 8.0
_LOG_DECISION_AFTER = 1.0
_DOWN = (PortState.REFUSED, PortState.SILENT)
_HAS_SESSION = (PortState.UP, PortState.UPSTREAM_DOWN)


class Supervisor:
    """Runs one gateway until ``stop``, in one event loop.

    Args:
        cfg: The configuration. It must name a driver and a client id that no other program uses.
        now: Returns the current time. A test passes its own clock.
    """

    def __init__(self, cfg: Config, *, now: Callable[[], Now] = system_now) -> None:
        self.settings = cfg.ibkr.gateway
        self._address = (cfg.ibkr.host, cfg.ibkr.port)
        self.connector = IBConnector.from_config(cfg)
        self.store = GatewayStore(self.settings)
        self.driver: GatewayDriver = make_driver(self.settings, self.store)
        self.monitor = GatewayMonitor(self.driver, self._publish_status, now)
        restarts = self.store.read_restarts()
        calendar = cfg.ibkr.policy.calendar(ZoneInfo)
        self.policy = RestartPolicy(self.settings, calendar, ZoneInfo(NEW_YORK), datetime.astimezone, restarts)
        self.records = SupervisorRecords(self.store, self.driver, restarts)
        self.decision = Decision(Action.NOTHING, "")
        """The last decision of the policy."""
        self._now = now
        self._port_state = PortState.UNKNOWN
        self._port_state_since = 0.0
        self._acted_at = float("-inf")
        self._restart_alert = ""
        self._port_state_known = asyncio.Event()
        self._stop = asyncio.Event()
        self._published: GatewayStatus | None = None
        self._unlogged_since: float | None = None

    def stop(self) -> None:
        """End the supervision, and the gateway if it is our own process."""
        self._stop.set()

    @property
    def status(self) -> GatewayStatus:
        """The state of the gateway."""
        restarts = self.policy.restarts_today(self._now().wall)
        alert = self.decision.alert or self.records.alert or self._restart_alert
        return self.monitor.status(restarts=restarts, alert=alert, supervised=True)

    async def run(self) -> None:
        """Start the gateway if it does not run, and supervise it until ``stop``.

        Raises:
            SupervisorRunning: Another process supervises this gateway.
            DriverError: The gateway cannot be started.
            OSError, sqlite3.Error: The gateway's folder cannot be used. After the start, this does not raise.
        """
        with self.records.opened():
            self.store.forget_last_supervisor()
            forget = self.connector.on_status(self._handle_status)
            try:
                await self._start()
                await self._supervise()
            finally:
                forget()
                await self._end()

    async def restart_once(self, request: SupervisorRequest) -> SupervisorAnswer:
        """Restart a gateway that nobody supervises, by the same rules. Raises the same exceptions as ``run``."""
        with self.records.opened():
            forget = self.connector.on_status(self._handle_status)
            tasks = {asyncio.ensure_future(work) for work in (self.monitor.run(), keep_session(self.connector))}
            try:
                with suppress(TimeoutError):  # if the gateway does not answer, its orders are not counted
                    async with asyncio.timeout(_FIRST_STATUS_TIMEOUT):
                        await self._port_state_known.wait()
                return self.records.add_trouble(await self._restart(request))
            finally:
                forget()
                await cancel_tasks(*tasks)
                await self.connector.disconnect_async()

    async def _supervise(self) -> None:
        coroutines: list[Coroutine[Any, Any, Any]] = [
            self.monitor.run(),
            keep_session(self.connector),
            self._decide_loop(),
            self._stop.wait(),
        ]
        tasks = {asyncio.ensure_future(work) for work in coroutines}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # an error of our own code ends the supervision
        finally:
            await cancel_tasks(*tasks)

    async def _start(self) -> None:
        """Start the gateway if it does not run. Raises ``DriverError`` if the start fails."""
        if await self.driver.is_running():
            return
        if self.driver.owns_process and await is_port_open(*self._address):
            words = "no process of ours has opened it: another gateway runs, and a second login would end the first"
            raise DriverError(f"port {self._address[1]} is open, and {words}. Stop it first")
        await self.driver.start()

    async def _end(self) -> None:
        await self.connector.disconnect_async()
        if self.driver.owns_process and await self.driver.is_running():
            _log.info("the supervisor ends, and stops the gateway")
            await self.driver.stop()
            self.monitor.mark_stopped()
        await self.driver.close()

    async def _decide_loop(self) -> None:
        while True:
            await self._handle_next_request()
            await self._decide()
            await asyncio.sleep(_DECIDE_EVERY)

    def _handle_status(self, status: Status) -> None:
        port_state = api_port_state(status, closed_is_refused=self.settings.driver == "docker")
        if port_state is self._port_state:
            return
        was_down = self._port_state in _DOWN
        if was_down is not (port_state in _DOWN):
            self._port_state_since = self._now().mono
        self._port_state = port_state
        self._port_state_known.set()
        if port_state in _HAS_SESSION:
            self._restart_alert = ""
            self.monitor.mark_session_up()
        self._publish_status()

    def _publish_status(self) -> None:
        """Publish the state of the gateway to the connector's status and to other programs."""
        status = self.status
        if status != self._published:
            self._published = status
            self.records.write_status(status)
            self.connector.tell_gateway(status)

    def observe(self) -> Observation:
        """Return what the policy needs to know for its decision."""
        tracker, driver = self.monitor.tracker, self.driver
        return Observation(
            tracker.state,
            self._port_state,
            self._port_state_since,
            max(self.monitor.started_mono, self._acted_at),
            tracker.exit_code,
            driver.sees_login and tracker.login_seen,
            tracker.is_logged_in,
            tracker.login_failed,
            tracker.second_factor,
            tracker.logged_in_at,
            driver.external_restart_on_exit,
            driver.external_restart_on_hang,
            driver.has_command_server,
        )

    async def _decide(self) -> None:
        observation, now = self.observe(), self._now()
        before, self.decision = self.decision, self.policy.decide(observation, now)
        if self.decision != before:
            self._unlogged_since = now.mono
        elif self._unlogged_since is not None and now.mono - self._unlogged_since >= _LOG_DECISION_AFTER:
            self._unlogged_since = None
            # While the gateway starts, a closed port is normal, so it is only logged at DEBUG.
            is_news = self.decision.trouble and observation.state not in (
                GatewayState.STARTING,
                GatewayState.RESTARTING,
            )
            _log.log(logging.INFO if is_news else logging.DEBUG, "%s", self.decision.alert or self.decision.reason)
        if self.decision.act is not Action.NOTHING and self.decision == before:  # the driver's events are processed
            await self._perform(self.decision, full_login=self.policy.needs_login(self.decision.act, observation, now))
        self._publish_status()

    async def _perform(self, decision: Decision, *, full_login: bool) -> None:
        act, reason = decision.act, decision.reason
        login = ", which needs a full login" if full_login and act in RESTARTS else ""
        if self.settings.dry_run:
            _log.warning("dry run, would do %s%s: %s", act, login, reason)
            self.policy.done(act, full_login=full_login, now=self._now())
            return
        _log.warning("%s%s: %s", act, login, reason)
        if act in RESTARTS:
            self._restart_alert = f"the gateway was restarted at {self._now().wall:%H:%M} UTC: {reason}"
        try:
            await self._execute(act, reason, full_login=full_login)
        except DriverError as error:
            self._restart_alert = ""
            _log.error("%s failed: %s", act, error)

    async def _execute(self, act: Action, reason: str, *, full_login: bool) -> None:
        """Perform the action. Record a restart first, because a failed one counts, too. Raises ``DriverError``."""
        if act in (Action.KILL, Action.START):
            self._record_restart(act, reason, full_login=full_login)
            if act is Action.KILL:
                await restart_process(self.monitor, reason)
            else:
                await self._start()
            return
        try:
            answer = await self.driver.send(act)
        except DriverError:
            self.policy.refused(act)
            raise
        _log.info("the command server answers %s: %s", act, answer or "OK")
        self._record_restart(act, reason, full_login=full_login)
        if act is Action.RESTART:
            self.monitor.handle_event(RestartStarted(reason))

    def _record_restart(self, act: Action, reason: str, *, full_login: bool) -> None:
        now = self._now()
        self.policy.done(act, full_login=full_login, now=now)
        if act in RESTARTS:
            self._acted_at = now.mono
            self.records.add_restart(self.policy.restarts[-1], reason)

    async def _handle_next_request(self) -> None:
        found = self.records.next_request()
        if found is None:
            return
        name, request = found
        _log.info("%s requested by %s", request.action, request.by)
        try:
            answer = await self._handle_request(request)
        except DriverError as error:
            answer = SupervisorAnswer(is_done=False, message=str(error))
        _log.info("%s: %s", request.action, answer.message)
        self.records.save_answer(name, answer)

    async def _handle_request(self, request: SupervisorRequest) -> SupervisorAnswer:
        match request.action:
            case "stop":
                await self.driver.stop()
                self.monitor.mark_stopped()
                self._publish_status()
                self.stop()
                return SupervisorAnswer(is_done=True, message="the gateway is stopped")
            case "start":
                await self._start()
                return SupervisorAnswer(is_done=True, message="the gateway runs")
            case _:
                return await self._restart(request)

    async def _restart(self, request: SupervisorRequest) -> SupervisorAnswer:
        with_orders = request.with_orders or self.settings.restart_with_orders
        orders = await count_working_orders(self.connector) if self._port_state in _HAS_SESSION else 0
        observation, now, reason = self.observe(), self._now(), f"requested by {request.by}"
        second_factor = observation.second_factor
        refusal = restart_refusal(observation.state, orders, second_factor=second_factor, with_orders=with_orders)
        if refusal:
            return SupervisorAnswer(is_done=False, message=refusal)
        if not await self.driver.is_running():
            await self._execute(Action.START, reason, full_login=True)
            return SupervisorAnswer(is_done=True, message="the gateway is started")
        if observation.has_command_server and observation.is_logged_in:
            full_login = self.policy.needs_login(Action.RESTART, observation, now)
            try:
                await self._execute(Action.RESTART, reason, full_login=full_login)
            except DriverError as error:
                _log.info("%s", error)
            else:
                return SupervisorAnswer(
                    is_done=True, message="the gateway restarts" + ("" if full_login else ", without a login")
                )
        await self._execute(Action.KILL, reason, full_login=True)
        return SupervisorAnswer(is_done=True, message="the gateway is restarted; it needs a full login")
