"""``WebClient``: calls the web API of a running program, as ``connector.serve()`` or ``ibkr serve`` offers it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ibkr.core.errors import ConfigError
from ibkr.core.serialization import sanitize_text, to_jsonable

_TIMEOUT = 10.0
_MAX_SIZE = 4 * 1024 * 1024


class WebApiError(Exception):
    """The web API refuses a request, or the peer is not a web API. The message says what to do."""


class WebClient:
    """The web API of one connector.

    Args:
        url: The URL of its page, also with ``?connector=2``.
        token: The token of the page, if it needs one.
        option: The option that the URL comes from, for the error.

    Raises:
        ConfigError: The URL is not valid.
    """

    def __init__(self, url: str, token: str = "", *, option: str = "--attach") -> None:
        shown = "***" if "@" in url else url  # the URL may contain a password
        try:
            parts = urlsplit(url if "//" in url else f"http://{url}")
            self._host, self._port = parts.hostname or "", parts.port
            self._host.encode("idna")  # http.client also encodes the host, but would raise later
        except ValueError as error:
            raise ConfigError(option, shown, f"is not a URL: {error}") from error
        if "@" in parts.netloc:
            raise ConfigError(option, shown, "must be without a user and password: the page has a token (--token-file)")
        if parts.scheme not in ("http", "https") or not self._host:
            raise ConfigError(option, url, "must be the URL of the page, such as http://127.0.0.1:8080/")
        number = parse_qs(parts.query).get("connector", [""])[0]
        if number and not (number.isascii() and number.isdecimal()):
            raise ConfigError(option, url, "?connector= must be a number, as the page shows it")
        self._base = f"/c/{number}" if number else ""
        self._is_tls = parts.scheme == "https"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = f"{parts.scheme}://{parts.netloc}/" + (f"?connector={number}" if number else "")

    def call(self, name: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
        """Return the JSON answer of ``/api/{name}``.

        Raises:
            WebApiError: The API refuses the request, or does not answer in JSON.
            OSError, http.client.HTTPException: Nothing answers.
        """
        connection = self._connect()
        try:
            with self._request(connection, name, method, body) as answer:
                return _parsed(answer.read(_MAX_SIZE))
        except ValueError as error:
            raise WebApiError(f"{self.url} does not answer in JSON: it is not ibkr serve") from error
        finally:
            connection.close()

    def command(self, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command to the program, and return its answer.

        Raises as ``call`` does, and ``WebApiError`` if the answer does not confirm the command.
        """
        answer = self.call(name, "POST", body)
        if not isinstance(answer, dict) or answer.get("ok") is not True:
            raise WebApiError(f"{self.url} does not confirm it: it is not ibkr serve")
        return answer

    def read_events(self, on_event: Callable[[str, Any], None]) -> None:
        """Call ``on_event`` with the name and data of each event, until the stream ends. Raises as ``call`` does."""
        connection = self._connect()
        try:
            name = ""
            with self._request(connection, "events", "GET") as answer:
                while raw := answer.readline(_MAX_SIZE):
                    line = raw.decode(errors="replace").rstrip("\r\n")
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: "):
                        on_event(name, _parsed(line[6:]))
        except ValueError as error:
            raise WebApiError(f"{self.url} sends an event that this version cannot read: {error}") from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=_TIMEOUT)

    def _request(
        self, connection: http.client.HTTPConnection, name: str, method: str, body: dict[str, Any] | None = None
    ) -> http.client.HTTPResponse:
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        connection.request(method, f"{self._base}/api/{name}", None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        if answer.status < 400:
            return answer
        with answer:
            text = sanitize_text(answer.read(2000).decode(errors="replace"))
        if answer.status in (401, 429):
            raise WebApiError(f"{self.url} needs its token: give its file with --token-file, or set IBKR_HTTP_TOKEN")
        raise WebApiError(f"{self.url} answers {answer.status}: {text}")


def _parsed(raw: str | bytes) -> Any:
    """Return JSON from outside as JSON types whose text is printable. Raises ``ValueError``."""
    try:
        return to_jsonable(json.loads(raw))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
