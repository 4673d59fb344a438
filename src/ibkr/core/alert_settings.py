"""``AlertSettings``: where alerts are sent, and how often. The table ``[ibkr.alerts]``."""

from __future__ import annotations

import math
from urllib.parse import urlsplit

from ibkr.core.errors import ConfigError
from ibkr.core.frozen_record import ValidatedRecord

SECRETS = ("urls", "heartbeat_url")
"""Settings that may contain tokens and passwords. Never shown."""

_LEAST_BEAT = 1.0


class AlertSettings(ValidatedRecord):
    """Alerts by apprise, and a heartbeat. Nothing is sent without a URL. Durations are in seconds.

    Raises:
        ConfigError: A value is not valid.
    """

    urls: tuple[str, ...] = ()
    """Where alerts go, as apprise URLs: ``mailto://...``, ``tgram://...``, ``ntfy://...``, ``json://...``."""
    per_hour: int = 20
    """The most alerts per hour to each URL. Others are dropped and counted in the next alert."""
    order_after: float = 5.0
    """How long an order must be unconfirmed. Most are found as soon as the session is back."""
    heartbeat_url: str = ""
    """Requested every ``heartbeat_every`` seconds while the event loop runs. A service that misses it alerts you."""
    heartbeat_every: float = 60.0

    def check(self) -> None:
        urls: object = self.urls
        if not isinstance(urls, tuple) or not all(isinstance(url, str) and "://" in url for url in urls):
            raise ConfigError("ibkr.alerts.urls", "***", 'must be a list of URLs of apprise: ["ntfy://topic", "..."]')
        beat: object = self.heartbeat_url
        if not isinstance(beat, str) or (beat and not _is_http_url(beat)):
            cure = "must begin with http:// or https:// and a host, and be of ASCII characters"
            raise ConfigError("ibkr.alerts.heartbeat_url", "***", cure)
        for name, texts in (("urls", self.urls), ("heartbeat_url", (beat,))):
            if any(not text.isprintable() or " " in text for text in texts):
                raise ConfigError(f"ibkr.alerts.{name}", "***", "a URL must be printable, without spaces")
        if type(self.per_hour) is not int or self.per_hour < 1:
            raise ConfigError("ibkr.alerts.per_hour", self.per_hour, "must be a whole number, 1 or greater")
        for name, least in (("order_after", 0.0), ("heartbeat_every", _LEAST_BEAT)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
                raise ConfigError(f"ibkr.alerts.{name}", value, f"must be a number, {least:g} or greater")

    def __repr__(self) -> str:
        return f"AlertSettings({len(self.urls)} URLs, heartbeat {'on' if self.heartbeat_url else 'off'})"


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and text.isascii()
    except ValueError:  # the host or the port is invalid
        return False
