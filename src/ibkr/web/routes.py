"""The routes of the site: what each path answers. The data comes from ``ConnectorView``."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ibkr.core.errors import NotReady
from ibkr.core.serialization import sanitize_text, to_json
from ibkr.observe.history import History
from ibkr.web.access_control import AccessControl, LoginLimiter, cookie_name, cookie_of, parse_number
from ibkr.web.connector_view import ConnectorView
from ibkr.web.cross_loop import LoopBusy
from ibkr.web.event_stream import EventPublisher, EventReader, TooManyReaders
from ibkr.web.fleet_routes import OPEN_PATHS, fleet_routes
from ibkr.web.timeline import DEFAULT_HOURS, build_timeline
from ibkr.web.view_registry import ViewRegistry
from ibkr.web.web_settings import WebSettings
from ibkr.web.worker_thread import QueueFull

_MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_COOKIE_MAX_AGE = 30 * 24 * 3600
_MAX_OUTAGES = 1000
_MAX_HOURS = 30 * 24
_MAX_ID = 10**18 - 1
_MAX_ANSWER_SIZE = 1024 * 1024


def make_application(views: ViewRegistry) -> ASGIApp:
    """Return the site as an ASGI application, with its access control.

    Each path answers for the first connector. A path below ``/c/NUMBER`` answers for the connector with that number.
    """
    files_by_path = _page_files()
    logins = LoginLimiter(views.settings.token)
    api = _Api(views, logins)
    connector_routes = [
        Route("/readyz", api.readyz),
        Route("/metrics", api.metrics),
        Route("/api/status", api.status),
        Route("/api/details", api.details),
        Route("/api/messages", api.messages),
        Route("/api/events", api.events),
        Route("/api/outages", api.outages),
        Route("/api/timeline", api.timeline),
        Route("/api/round-trips", api.round_trips),
        Route("/api/reconnect", api.reconnect, methods=["POST"]),
        Route("/api/halt", api.halt, methods=["POST"]),
        Route("/api/resume", api.resume, methods=["POST"]),
        Route("/api/gateway/restart", api.restart_gateway, methods=["POST"]),
    ]
    routes = [
        *(Route(path, _file_endpoint(*file)) for path, file in files_by_path.items()),
        Route("/healthz", _healthz),
        Route("/api/connectors", api.connectors),
        Route("/api/token", api.token, methods=["POST"]),
        *connector_routes,
        Mount("/c/{number}", routes=connector_routes),
        *fleet_routes(views),
    ]
    is_open = frozenset({*files_by_path, *OPEN_PATHS, "/healthz", "/api/token"}).__contains__
    errors = {sqlite3.Error: _history_error, QueueFull: _queue_full, LoopBusy: _loop_busy}
    return AccessControl(Starlette(routes=routes, exception_handlers=errors), views.settings, logins, is_open)


def _page_files() -> dict[str, tuple[bytes, str]]:
    """Return the page's own files: content and media type by path."""
    by_path = {}
    for file in files("ibkr.web").joinpath("static").iterdir():
        kind = _MEDIA_TYPES[file.name.rpartition(".")[2]]
        path = "/" if file.name == "index.html" else f"/static/{file.name}"
        by_path[path] = (file.read_bytes(), kind)
    return by_path


def _file_endpoint(content: bytes, kind: str):  # type: ignore[no-untyped-def] # starlette's endpoints are of many types
    async def endpoint(_: Request) -> Response:
        return Response(content, media_type=kind)

    return endpoint


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _history_error(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"The history cannot be read: {sanitize_text(str(error))}\n", 503)


async def _queue_full(_: Request, error: Exception) -> Response:
    return PlainTextResponse("Too many visitors read the history now.\n", 503, {"Retry-After": "1"})


def _json(value: object, status: int = 200) -> Response:
    """Answer with valid JSON of printable text, also if the value contains NaN or control characters."""
    return Response(to_json(value), status, media_type="application/json")


async def _read(view: ConnectorView, key: str, read: Callable[[], str]) -> Response:
    """Read JSON in the worker thread, because a long history would block the event loop."""
    return Response(await view.worker.run(read, key), media_type="application/json")


def _outage_page(history: History, limit: int, before: int) -> str:
    """Return as many outages as fit into an answer, newest first.

    Each outage is encoded separately, because no other thread runs while one long text is encoded.
    """
    parts: list[str] = []
    size, last_id, is_cut = 0, None, False
    for outage in history.read_outages(limit, before, as_text=True):
        gap = outage.pop("gap")
        part = f'{to_json(outage)[:-1]},"gap":{gap or "null"}}}'
        size += len(part)
        if parts and size > _MAX_ANSWER_SIZE:
            is_cut = True
            break
        parts.append(part)
        last_id = outage["id"]
    more = f', "next": {last_id}' if is_cut else ""
    return f'{{"outages": [{", ".join(parts)}]{more}}}'


async def _loop_busy(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"No answer: {error}.\n", 503, {"Retry-After": "2"})


class _Api:
    """The endpoints that need the connectors."""

    def __init__(self, views: ViewRegistry, logins: LoginLimiter) -> None:
        self._views = views
        self._logins = logins
        self._settings: WebSettings = views.settings

    def _view(self, request: Request) -> ConnectorView:
        """Return the connector that a request is about. Raises ``HTTPException``."""
        text = request.path_params.get("number")
        number = None if text is None else parse_number(text, _MAX_ID)
        view = None if number is None and text is not None else self._views.find(number)
        if view is None:
            raise HTTPException(404, "There is no such connector; /api/connectors lists all connectors.\n")
        return view

    async def connectors(self, _: Request) -> Response:
        return _json({"connectors": self._views.to_list()})

    async def readyz(self, request: Request) -> Response:
        """Without a number, check all connectors and answer for the first connector that is not ready."""
        views = [self._view(request)] if "number" in request.path_params else list(self._views)
        results = [view.ready for view in views] or [(False, "no connector is shown")]
        is_ready, text = next((each for each in results if not each[0]), results[0])
        return PlainTextResponse(text + "\n", 200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        content_type, text = await self._view(request).render_metrics(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type})

    async def status(self, request: Request) -> Response:
        view = self._view(request)
        return _json({**view.status(), "stats": await view.stats(), "subscriptions": await view.subscriptions()})

    async def details(self, request: Request) -> Response:
        return Response(await self._view(request).details(), media_type="application/json")

    async def messages(self, request: Request) -> Response:
        return _json({"messages": await self._view(request).messages()})

    async def outages(self, request: Request) -> Response:
        """Answer with at most ``limit`` outages. If not all fit, ``next`` is the ``before`` of the next request."""
        limit = parse_number(request.query_params.get("limit", "100"), _MAX_OUTAGES, 1)
        before = parse_number(request.query_params.get("before", str(_MAX_ID)), _MAX_ID)
        if limit is None or before is None:
            text = f"'limit' must be from 1 to {_MAX_OUTAGES}, and 'before' must be the 'next' of the last answer\n"
            return PlainTextResponse(text, 400)
        view = self._view(request)
        return await _read(view, f"outages {limit} {before}", lambda: _outage_page(view.history, limit, before))

    async def timeline(self, request: Request) -> Response:
        hours = parse_number(request.query_params.get("hours", str(DEFAULT_HOURS)), _MAX_HOURS, 1)
        if hours is None:
            return PlainTextResponse(f"hours must be from 1 to {_MAX_HOURS}\n", 400)
        now, span, view = datetime.now(UTC), timedelta(hours=hours), self._view(request)
        return await _read(
            view, f"timeline {hours}", lambda: to_json(build_timeline(view.history.changes(now - span), now, span))
        )

    async def round_trips(self, request: Request) -> Response:
        view = self._view(request)
        return _json({"round_trips": view.round_trips, "answers": await view.answer_times()})

    async def events(self, request: Request) -> Response:
        publisher = self._view(request).publisher
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        last_id = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
        try:
            reader = publisher.add_reader(last_id)
        except TooManyReaders:
            return PlainTextResponse("Too many visitors read events, or the site closes.\n", 503, {"Retry-After": "5"})
        return _EventStreamResponse(publisher, reader)

    async def reconnect(self, request: Request) -> Response:
        try:
            await self._view(request).reconnect()
        except NotReady:
            return PlainTextResponse("The program is disconnected: it must connect first.\n", 409)
        return _json({"ok": True}, 202)

    async def halt(self, request: Request) -> Response:
        body = await self._body(request)
        if isinstance(body, Response):
            return body
        reason, cancel_all = body.get("reason", "the page"), body.get("cancel_all", False)
        if not isinstance(reason, str) or not isinstance(cancel_all, bool):
            return PlainTextResponse('The body must be JSON: {"reason": "...", "cancel_all": false}\n', 400)
        halting = self._view(request).halt(reason, cancel_all=cancel_all)
        return await self._run_command(halting, "Halted: no new orders.")

    async def resume(self, request: Request) -> Response:
        return await self._run_command(self._view(request).resume(), "Resumed.")

    async def _run_command(self, command: Awaitable[None], message: str) -> Response:
        try:
            await command
        except NotReady as error:
            return PlainTextResponse(f"{error}\n", 409)
        except OSError as error:
            return PlainTextResponse(f"The halt file could not be changed: {error}\n", 500)
        return _json({"ok": True, "message": message}, 202)

    async def _body(self, request: Request) -> dict[str, Any] | Response:
        """Return the JSON object of a request, or an error answer if the request has no such object."""
        try:
            async with asyncio.timeout(self._settings.request_time):
                body = json.loads(await request.body() or b"{}")
        except (ValueError, RecursionError):
            body = None
        except ClientDisconnect:
            return Response(status_code=400)  # the visitor has gone, so nobody reads this answer
        except TimeoutError:
            return PlainTextResponse("The body did not come in time.\n", 408, {"Connection": "close"})
        return body if isinstance(body, dict) else PlainTextResponse("The body must be a JSON object.\n", 400)

    async def restart_gateway(self, request: Request) -> Response:
        answer = await self._view(request).restart_gateway()
        if not answer.is_done:
            return PlainTextResponse(f"{sanitize_text(answer.message)}\n", 409)
        return _json({"ok": True, "message": sanitize_text(answer.message)}, 202)

    async def token(self, request: Request) -> Response:
        """Exchange the token for a cookie, so that the page needs the token only one time."""
        body = await self._body(request)
        if isinstance(body, Response):
            return body
        if "token" not in body:
            return PlainTextResponse('The body must be JSON: {"token": "..."}\n', 400)
        refusal = self._logins.refusal(request.scope, str(body["token"]))
        if refusal is not None:
            return refusal
        response = Response(status_code=204)
        response.set_cookie(
            cookie_name(request.scope),
            cookie_of(self._settings.token),
            max_age=_COOKIE_MAX_AGE,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response


class _EventStreamResponse(StreamingResponse):
    """Streams the events of one reader. At the end of the stream, also after an error, it removes the reader."""

    def __init__(self, publisher: EventPublisher, reader: EventReader) -> None:
        super().__init__(reader.events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._publisher = publisher
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._publisher.remove_reader(self._reader)
