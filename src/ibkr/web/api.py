"""What the site answers, path by path."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ibkr.core.errors import NotReady
from ibkr.web.band import HOURS, band
from ibkr.web.events import Hub, Reader, TooManyReaders
from ibkr.web.guard import COOKIE, Guard, cookie_of, is_token
from ibkr.web.settings import WebSettings
from ibkr.web.site import Site

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_COOKIE_LASTS = 30 * 24 * 3600
_MOST_OUTAGES = 1000


def application(site: Site) -> ASGIApp:
    """The site as an ASGI application, behind its guard."""
    pages = _pages()
    api = _Api(site)
    routes = [Route(path, _page(*page)) for path, page in pages.items()]
    routes += [
        Route("/healthz", _healthz),
        Route("/readyz", api.readyz),
        Route("/metrics", api.metrics),
        Route("/api/status", api.status),
        Route("/api/events", api.events),
        Route("/api/outages", api.outages),
        Route("/api/timeline", api.timeline),
        Route("/api/round-trips", api.round_trips),
        Route("/api/reconnect", api.reconnect, methods=["POST"]),
        Route("/api/gateway/restart", api.restart_gateway, methods=["POST"]),
        Route("/api/token", api.token, methods=["POST"]),
    ]
    is_open = frozenset({*pages, "/healthz", "/api/token"}).__contains__
    app = Starlette(routes=routes, exception_handlers={sqlite3.Error: _no_history})
    return Guard(app, site.settings, is_open)


def _pages() -> dict[str, tuple[bytes, str]]:
    """The page's own files: path, content and type."""
    found = {}
    for file in files("ibkr.web").joinpath("static").iterdir():
        kind = _TYPES[file.name.rpartition(".")[2]]
        path = "/" if file.name == "index.html" else f"/static/{file.name}"
        found[path] = (file.read_bytes(), kind)
    return found


def _page(content: bytes, kind: str):  # type: ignore[no-untyped-def] # starlette's endpoints are of many types
    async def page(_: Request) -> Response:
        return Response(content, media_type=kind)

    return page


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _no_history(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"The history cannot be read: {error}\n", 503)


async def _json_of(read: Callable[[], object]) -> Response:
    """Read and put into JSON in a thread: a long history must not hold up the connection's loop."""
    return Response(await asyncio.to_thread(lambda: json.dumps(read())), media_type="application/json")


class _Api:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._settings: WebSettings = site.settings

    async def readyz(self, _: Request) -> Response:
        is_ready, words = self._site.ready
        return PlainTextResponse(words + "\n", 200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        kind, text = self._site.metrics.render(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": kind})

    async def status(self, _: Request) -> Response:
        return JSONResponse({**self._site.status(), "stats": self._site.stats()})

    async def outages(self, request: Request) -> Response:
        limit = request.query_params.get("limit", "100")
        if not (limit.isascii() and limit.isdecimal() and 0 < int(limit[:9]) <= _MOST_OUTAGES):
            return PlainTextResponse(f"limit must be from 1 to {_MOST_OUTAGES}\n", 400)
        return await _json_of(lambda: {"outages": self._site.history.outages(int(limit))})

    async def timeline(self, _: Request) -> Response:
        now = datetime.now(UTC)
        return await _json_of(lambda: band(self._site.history.changes(now - timedelta(hours=HOURS)), now))

    async def round_trips(self, _: Request) -> Response:
        return JSONResponse({"round_trips": list(self._site.round_trips)})

    async def events(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        last_id = request.headers.get("last-event-id") or request.query_params.get("last_event_id", "")
        try:
            reader = self._site.hub.join(last_id)
        except TooManyReaders:
            return PlainTextResponse("Too many read already, or the site is closing.\n", 503, {"Retry-After": "5"})
        return _EventStream(self._site.hub, reader)

    async def reconnect(self, _: Request) -> Response:
        try:
            self._site.reconnect()
        except NotReady:
            return PlainTextResponse("The program wants no connection: it has to connect first.\n", 409)
        return JSONResponse({"ok": True}, 202)

    async def restart_gateway(self, _: Request) -> Response:
        answer = await self._site.restart_gateway()
        if not answer.is_done:
            return PlainTextResponse(f"{answer.words}\n", 409)
        return JSONResponse({"ok": True, "message": answer.words}, 202)

    async def token(self, request: Request) -> Response:
        """Takes the token once, and gives the page a cookie for it."""
        try:
            async with asyncio.timeout(self._settings.request_time):
                given = json.loads(await request.body())["token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return PlainTextResponse('The body must be JSON: {"token": "..."}\n', 400)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except TimeoutError:
            return PlainTextResponse("The body did not come in time.\n", 408, {"Connection": "close"})
        if not self._settings.token or not is_token(str(given), self._settings.token):
            return PlainTextResponse("That is not the token.\n", 401)
        response = Response(status_code=204)
        response.set_cookie(
            COOKIE,
            cookie_of(self._settings.token),
            max_age=_COOKIE_LASTS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response


class _EventStream(StreamingResponse):
    """The events of one reader, who leaves the hub however the stream ends."""

    def __init__(self, hub: Hub, reader: Reader) -> None:
        super().__init__(reader.events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
        self._hub = hub
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.leave(self._reader)
