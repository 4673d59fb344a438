"""Who may ask what: the one gate that every request passes."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ibkr.web.settings import WebSettings

COOKIE = "ibkr_page"
_SAFE_METHODS = ("GET", "HEAD")

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)
_HEADERS = {
    # No word for frames, forms and bases would leave them open: 'none' of default-src does not cover them.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Checks host, size, origin and token, in this order; what passes goes on to ``app``. Every answer gets headers.

    ``is_open`` tells the paths that need no token. State-changing methods must come from the site's own page, or from
    no page at all.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings, is_open: Callable[[str], bool]) -> None:
        self._app = app
        self._settings = settings
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, _limited(receive, self._settings.body_limit), send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        settings = self._settings
        if not settings.is_own_name(_host_name(headers.get("host", ""))):
            return PlainTextResponse(
                "This site is not known by that name: call it by its address, or name it with --allow-host.\n", 421
            )
        # A head that comes in one piece is whole before its length is looked at.
        head = sum(len(name) + len(value) for name, value in scope["headers"])
        if head + len(scope["path"]) + len(scope["query_string"]) > settings.head_limit:
            return PlainTextResponse("The request head is too long.\n", 431, {"Connection": "close"})
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > settings.body_limit:
            return PlainTextResponse("The body is too long.\n", 413, {"Connection": "close"})
        if scope["method"] not in _SAFE_METHODS and not _is_of_own_page(headers):
            return PlainTextResponse("A page of another site may not do that.\n", 403)
        if settings.token and not self._is_open(scope["path"]) and not _bears(headers, settings.token):
            return PlainTextResponse(
                "A token is needed: Authorization: Bearer TOKEN\n", 401, {"WWW-Authenticate": "Bearer"}
            )
        return None


def is_token(given: str, token: str) -> bool:
    """Whether they are the same, in a time that does not tell how much of it is."""
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


def cookie_of(token: str) -> str:
    """What the page's cookie holds in the place of the token: proof that it was known once."""
    return hmac.new(token.encode(), b"ibkr page", "sha256").hexdigest()


def _bears(headers: Headers, token: str) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and is_token(given.strip(), token):
        return True
    cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    return bool(cookie) and is_token(cookie, cookie_of(token))


def _host_name(host: str) -> str:
    """The name in a Host header, without the port; empty for what is none."""
    match = _HOST.fullmatch(host)
    return match["name"] if match else ""


def _is_of_own_page(headers: Headers) -> bool:
    """No browser leaves out both headers in a request that another site's page makes."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or _authority(origin) == headers.get("host", "").lower()


def _authority(origin: str) -> str | None:
    """The host and port of an origin; None for what is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def _limited(receive: Receive, limit: int) -> Callable[[], Awaitable[Message]]:
    taken = 0

    async def receive_at_most() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise HTTPException(413, "The body is too long.\n", {"Connection": "close"})
        return message

    return receive_at_most
