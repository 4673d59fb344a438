"""Access control for every request: host name, size, origin and token.

There are libraries for parts of this, but none fits: ``TrustedHostMiddleware`` cannot allow every IP address
(``WebSettings.is_own_name``), and Starlette has neither limits for heads and bodies nor checks of the origin.
"""

from __future__ import annotations

import hmac
import logging
import math
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ibkr.core.serialization import sanitize_text
from ibkr.core.token_bucket import TokenBucket
from ibkr.web.web_settings import WebSettings

_log = logging.getLogger("ibkr.web")

_WRONG_TOKEN_BURST, _WRONG_TOKENS_PER_SECOND = 20, 1 / 6
_MAX_ADDRESSES = 1024

_SAFE_METHODS = ("GET", "HEAD")
_MAX_DIGITS = 18

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)
_SECURITY_HEADERS = {
    # Frames, forms and bases need their own entries: default-src does not cover them.
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


class AccessControl:
    """Checks host, size, origin and token, in this order, and adds security headers to every answer.

    Requests that change something must come from the site's own page, or from no page at all.

    Args:
        app: Gets the requests that pass.
        settings: The site's names, limits and token.
        logins: Compares the tokens.
        is_open: Whether a path needs no token.
    """

    def __init__(
        self, app: ASGIApp, settings: WebSettings, logins: LoginLimiter, is_open: Callable[[str], bool]
    ) -> None:
        self._app = app
        self._settings = settings
        self._is_open = is_open
        self._logins = logins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, _limit_body(receive, self._settings.body_limit), send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the refusal of a request, or ``None`` if the request may pass."""
        headers = Headers(scope=scope)
        settings = self._settings
        if not settings.is_own_name(_host_name(headers.get("host", ""))):
            return PlainTextResponse(
                "This site does not have that name: use its address, or add the name with --allow-host.\n", 421
            )
        # h11 checks its own limit only while a head is incomplete. It does not check a head that comes in one piece.
        head = sum(len(name) + len(value) for name, value in scope["headers"])
        if head + len(scope["path"]) + len(scope["query_string"]) > settings.head_limit:
            return PlainTextResponse("The request head is too long.\n", 431, {"Connection": "close"})
        if parse_number(headers.get("content-length", "0"), settings.body_limit) is None:
            return PlainTextResponse("The body is too long.\n", 413, {"Connection": "close"})
        if scope["method"] not in _SAFE_METHODS and not _is_from_own_page(headers):
            return PlainTextResponse("A page of another site may not do that.\n", 403)
        if settings.token and not self._is_open(scope["path"]):
            return self._check_token(scope, headers)
        return None

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the refusal of a request without the token, or ``None`` if it has the token."""
        cookie = cookie_parser(headers.get("cookie", "")).get(cookie_name(scope), "")
        if cookie and is_token(cookie, cookie_of(self._settings.token)):
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            refusal = self._logins.refusal(scope, given.strip())
            if refusal is None or refusal.status_code == 429:
                return refusal
        return PlainTextResponse(
            "A token is needed: Authorization: Bearer TOKEN\n", 401, {"WWW-Authenticate": "Bearer"}
        )


class LoginLimiter:
    """Compares tokens. Each address may send 20 wrong tokens, then one wrong token every 6 s."""

    def __init__(self, token: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = token
        self._clock = clock
        self._wrong_tokens: OrderedDict[str, TokenBucket] = OrderedDict()

    def refusal(self, scope: Scope, given: str) -> Response | None:
        """Return ``None`` for the right token, otherwise 401. After too many wrong tokens, 429 without a comparison."""
        address, now = _address_of(scope), self._clock()
        bucket = self._wrong_tokens.get(address)
        if bucket is not None and (wait := bucket.wait(now)) > 0:
            text = "Too many wrong tokens came from your address: wait a few seconds.\n"
            return PlainTextResponse(text, 429, {"Retry-After": str(math.ceil(wait))})
        if self._token and is_token(given, self._token):
            return None
        if bucket is None:
            bucket = self._wrong_tokens[address] = TokenBucket(_WRONG_TOKENS_PER_SECOND, _WRONG_TOKEN_BURST)
        self._wrong_tokens.move_to_end(address)
        if len(self._wrong_tokens) > _MAX_ADDRESSES:
            self._wrong_tokens.popitem(last=False)
        bucket.take(now)
        _log.warning("A visitor at %s gave a wrong token", address)
        return PlainTextResponse("That is not the token.\n", 401)


def is_token(given: str, token: str) -> bool:
    """Whether the tokens are equal, compared in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


def cookie_of(token: str) -> str:
    """Return the text of the page's cookie: not the token, but a proof that the visitor knew the token."""
    return hmac.new(token.encode(), b"ibkr page", "sha256").hexdigest()


def cookie_name(scope: Scope) -> str:
    """Return the name of the page's cookie, which contains the port: browsers send a cookie to every port of a host."""
    server = scope.get("server")
    return f"ibkr_page_{server[1]}" if server else "ibkr_page"


def parse_number(text: str, maximum: int, minimum: int = 0) -> int | None:
    """Parse a whole number of a visitor. Returns ``None`` for anything else, and for a number out of range."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        return None
    number = int(text)
    return number if minimum <= number <= maximum else None


def _address_of(scope: Scope) -> str:
    """Return the visitor's address. If a trusted proxy has reported an address, uvicorn has put that address here."""
    client = scope.get("client")
    return sanitize_text(str(client[0]))[:64] if client else "an unknown address"


def _host_name(host: str) -> str:
    """Return the name in a Host header, without the port, or an empty text if the header is not valid."""
    match = _HOST.fullmatch(host)
    return match["name"] if match else ""


def _is_from_own_page(headers: Headers) -> bool:
    """Return False if a page of another site made the request. Then browsers send at least one of these headers."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or _authority(origin) == headers.get("host", "").lower()


def _authority(origin: str) -> str | None:
    """Return host and port of an origin; ``None`` if it is not valid."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def _limit_body(receive: Receive, limit: int) -> Callable[[], Awaitable[Message]]:
    size = 0

    async def receive_at_most() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(413, "The body is too long.\n", {"Connection": "close"})
        return message

    return receive_at_most
