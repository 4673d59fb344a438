"""The supervisor of one gateway: follows its driver and a connection of its own, and acts as the policy decides."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ibkr.config import Config
from ibkr.connector import IBConnector
from ibkr.core.facts import Now
from ibkr.core.gateway import GatewayState, GatewayStatus
from ibkr.core.gateway_tracker import RestartStarted
from ibkr.core.restart import RESTARTS, Act, Decision, Link, RestartPolicy, Seen, why_not_now
from ibkr.core.status import Status
from ibkr.gateway.driver import Driver, DriverError
from ibkr.gateway.drivers import make_driver
from ibkr.gateway.link import hold, is_open, link_of, working_orders
from ibkr.gateway.monitor import NEW_YORK, Monitor, system_now
from ibkr.gateway.store import Answer, GatewayStore, Request

_log = logging.getLogger("ibkr.gateway")

_TICK = 0.2
_LOOK_TAKES = 8.0
_NEWS_AFTER = 1.0
_DOWN = (Link.REFUSED, Link.SILENT)


class Supervisor:
    """Runs one gateway until it is told to end, in one event loop.

    Args:
        cfg: the configuration, with a client id that no other program uses; it must name a driver.
        now: gives the time; a test hands in its own.
    """

    def __init__(self, cfg: Config, *, now: Callable[[], Now] = system_now) -> None:
        self.settings = cfg.ibkr.gateway
        self._address = (cfg.ibkr.host, cfg.ibkr.port)
        self.connector = IBConnector.from_config(cfg)
        self.store = GatewayStore(self.settings)
        self.driver: Driver = make_driver(self.settings, self.store)
        self.monitor = Monitor(self.driver, self._changed, now)
        self.policy = RestartPolicy(
            self.settings,
            cfg.ibkr.policy.calendar(ZoneInfo),
            ZoneInfo(NEW_YORK),
            datetime.astimezone,
            self.store.restarts(),
        )
        self.decision = Decision(Act.NOTHING, "")
        """The last one."""
        self._now = now
        self._link = Link.UNKNOWN
        self._link_since = 0.0
        self._acted_at = float("-inf")
        self._restarted = ""
        self._link_known = asyncio.Event()
        self._stop = asyncio.Event()
        self._told: GatewayStatus | None = None
        self._untold_since: float | None = None

    def stop(self) -> None:
        """End the supervision, and with it a gateway that is a process of ours."""
        self._stop.set()

    @property
    def status(self) -> GatewayStatus:
        """The state of the gateway."""
        restarts = self.policy.restarts_today(self._now().wall)
        return self.monitor.status(restarts=restarts, alert=self.decision.alert or self._restarted, supervised=True)

    async def run(self) -> None:
        """Start the gateway if it does not run, and supervise it until ``stop``.

        Raises ``SupervisorRuns`` if another process does, and ``DriverError`` if it cannot be started.
        """
        with closing(self.store), closing(self.store.claim()):
            self.store.drop_requests()
            forget = self.connector.on_status(self._take_status)
            try:
                await self._start()
                await self._supervise()
            finally:
                forget()
                await self._end()

    async def restart_once(self, request: Request) -> Answer:
        """Restart a gateway that nobody supervises, by the same rules, and leave it. Raises as ``run`` does."""
        with closing(self.store), closing(self.store.claim()):
            forget = self.connector.on_status(self._take_status)
            tasks = {asyncio.ensure_future(work) for work in (self.monitor.run(), hold(self.connector))}
            try:
                with suppress(TimeoutError):  # then nobody answers, and no order can be asked for
                    async with asyncio.timeout(_LOOK_TAKES):
                        await self._link_known.wait()
                return await self._restart(request)
            finally:
                forget()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self.connector.disconnect_async()

    async def _supervise(self) -> None:
        works: list[Coroutine[Any, Any, Any]] = [
            self.monitor.run(),
            hold(self.connector),
            self._tick(),
            self._stop.wait(),
        ]
        tasks = {asyncio.ensure_future(work) for work in works}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # an error of our own ends the supervision, loudly
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _start(self) -> None:
        """Start the gateway, if it does not run. Raises ``DriverError``."""
        if await self.driver.is_running():
            return
        if self.driver.owns_process and await is_open(*self._address):
            words = "no process of ours has opened it: another gateway runs, whose login a second one would end"
            raise DriverError(f"port {self._address[1]} is open, and {words}. Stop it first")
        await self.driver.start()

    async def _end(self) -> None:
        await self.connector.disconnect_async()
        if self.driver.owns_process and await self.driver.is_running():
            _log.info("the gateway is ended with its supervisor")
            await self.driver.stop()
            self.monitor.stopped()
        await self.driver.close()

    async def _tick(self) -> None:
        while True:
            await self._serve_request()
            await self._decide()
            await asyncio.sleep(_TICK)

    def _take_status(self, status: Status) -> None:
        link = link_of(status, closed_is_refused=self.settings.driver == "docker")
        if link is self._link:
            return
        was_down = self._link in _DOWN
        if was_down is not (link in _DOWN):
            self._link_since = self._now().mono
        self._link = link
        self._link_known.set()
        if link in (Link.UP, Link.UPSTREAM_DOWN):
            self._restarted = ""
            self.monitor.session_up()
        self._changed()

    def _changed(self) -> None:
        """Publish the state of the gateway in the connection's status and to other programs."""
        status = self.status
        if status != self._told:
            self._told = status
            self.store.write_status(status)
            self.connector.tell_gateway(status)

    def seen(self) -> Seen:
        """What the policy is asked with."""
        tracker, driver = self.monitor.tracker, self.driver
        return Seen(
            tracker.state,
            self._link,
            self._link_since,
            max(self.monitor.started, self._acted_at),
            tracker.exit_code,
            driver.sees_login and tracker.login_seen,
            tracker.is_logged_in,
            tracker.login_failed,
            tracker.second_factor,
            tracker.logged_in_at,
            driver.heals_exit,
            driver.heals_hang,
            driver.has_commands,
        )

    async def _decide(self) -> None:
        seen, now = self.seen(), self._now()
        before, self.decision = self.decision, self.policy.decide(seen, now)
        if self.decision != before:
            self._untold_since = now.mono
        elif self._untold_since is not None and now.mono - self._untold_since >= _NEWS_AFTER:
            self._untold_since = None
            # A port that is not open yet is no news while the gateway starts.
            is_news = self.decision.trouble and seen.state not in (GatewayState.STARTING, GatewayState.RESTARTING)
            _log.log(logging.INFO if is_news else logging.DEBUG, "%s", self.decision.alert or self.decision.reason)
        if self.decision.act is not Act.NOTHING and self.decision == before:  # with all that the driver saw meanwhile
            await self._act(self.decision, full_login=self.policy.needs_login(self.decision.act, seen, now))
        self._changed()

    async def _act(self, decision: Decision, *, full_login: bool) -> None:
        act, reason = decision.act, decision.reason
        login = ", which needs a full login" if full_login and act in RESTARTS else ""
        if self.settings.dry_run:
            _log.warning("dry run, would do %s%s: %s", act, login, reason)
            self.policy.done(act, full_login=full_login, now=self._now())
            return
        _log.warning("%s%s: %s", act, login, reason)
        if act in RESTARTS:
            self._restarted = f"the gateway was restarted at {self._now().wall:%H:%M} UTC: {reason}"
        try:
            await self._carry_out(act, reason, full_login=full_login)
        except DriverError as error:
            self._restarted = ""
            _log.error("%s failed: %s", act, error)

    async def _carry_out(self, act: Act, reason: str, *, full_login: bool) -> None:
        """Do it. It is counted before it is done, unless nothing happens when it fails. Raises ``DriverError``."""
        if act in (Act.KILL, Act.START):
            self._count(act, reason, full_login=full_login)
            if act is Act.KILL:
                self.monitor.take(RestartStarted(reason))
                await self.driver.restart()
            else:
                await self._start()
            return
        try:
            answer = await self.driver.send(act)
        except DriverError:
            self.policy.refused(act)
            raise
        _log.info("the command server answers %s: %s", act, answer or "OK")
        self._count(act, reason, full_login=full_login)
        if act is Act.RESTART:
            self.monitor.take(RestartStarted(reason))

    def _count(self, act: Act, reason: str, *, full_login: bool) -> None:
        now = self._now()
        self.policy.done(act, full_login=full_login, now=now)
        if act in RESTARTS:
            self._acted_at = now.mono
            self.store.add_restart(self.policy.restarts[-1], reason)

    async def _serve_request(self) -> None:
        found = self.store.next_request()
        if found is None:
            return
        name, request = found
        _log.info("%s is asked for by %s", request.action, request.by)
        try:
            answer = await self._serve(request)
        except DriverError as error:
            answer = Answer(is_done=False, words=str(error))
        _log.info("%s: %s", request.action, answer.words)
        self.store.answer(name, answer)

    async def _serve(self, request: Request) -> Answer:
        match request.action:
            case "stop":
                await self.driver.stop()
                self.monitor.stopped()
                self._changed()
                self.stop()
                return Answer(is_done=True, words="the gateway is stopped")
            case "start":
                await self._start()
                return Answer(is_done=True, words="the gateway runs")
            case _:
                return await self._restart(request)

    async def _restart(self, request: Request) -> Answer:
        with_orders = request.with_orders or self.settings.restart_with_orders
        orders = await working_orders(self.connector) if self._link in (Link.UP, Link.UPSTREAM_DOWN) else 0
        refusal = why_not_now(self.monitor.tracker.state, orders, with_orders=with_orders)
        if refusal:
            return Answer(is_done=False, words=refusal)
        seen, now, reason = self.seen(), self._now(), f"asked for by {request.by}"
        if not await self.driver.is_running():
            await self._carry_out(Act.START, reason, full_login=True)
            return Answer(is_done=True, words="the gateway is started")
        if seen.has_commands and seen.is_logged_in:
            full_login = self.policy.needs_login(Act.RESTART, seen, now)
            try:
                await self._carry_out(Act.RESTART, reason, full_login=full_login)
            except DriverError as error:
                _log.info("%s", error)
            else:
                return Answer(is_done=True, words="the gateway restarts" + ("" if full_login else ", without a login"))
        await self._carry_out(Act.KILL, reason, full_login=True)
        return Answer(is_done=True, words="the gateway is restarted; it needs a full login")
