"""Heartbeats that another system watches: an HTTP request at intervals, and systemd's watchdog.

Both are sent from the event loop. So they stop if the loop hangs or the process has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from urllib.parse import urlsplit

from ibkr.core.alert_settings import AlertSettings

_log = logging.getLogger("ibkr.observe")

_REQUEST_TIMEOUT = 10.0


class Heartbeat:
    """Requests a URL every ``every`` seconds, for a service that raises an alarm if the requests stop.

    Use it in one event loop. Each request runs in a thread. While a request still runs, the next request is skipped.
    """

    def __init__(self, url: str, every: float) -> None:
        self._url = url
        self._every = every
        self._timer: asyncio.TimerHandle | None = None
        self._is_requesting = False
        self._has_failed = False

    def open(self) -> None:
        """Send the first heartbeat now, and then one at each interval."""
        self._beat()

    def close(self) -> None:
        """Send no more heartbeats."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._beat)
        if not self._is_requesting:
            self._is_requesting = True
            threading.Thread(target=self._request, name="ibkr heartbeat", daemon=True).start()

    def _request(self) -> None:
        try:
            ping(self._url, min(_REQUEST_TIMEOUT, max(1.0, self._every)))
        except (OSError, ValueError) as error:
            if not self._has_failed:
                _log.warning("The heartbeat does not reach %s: %s", _host_of(self._url), error)
            self._has_failed = True
        else:
            self._has_failed = False
        finally:
            self._is_requesting = False


def ping(url: str, timeout: float = _REQUEST_TIMEOUT) -> None:
    """Send one GET request to the URL. Raises ``OSError``, also if the answer is an HTTP error or is not HTTP."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(url, headers={"User-Agent": "ibkr-connector"}), timeout=timeout) as answer:
            answer.read(1024)
    except HTTPError as error:
        error.close()
        raise
    except HTTPException as error:
        raise ConnectionError(f"the answer is not valid HTTP ({type(error).__name__})") from error


def _host_of(url: str) -> str:
    """Return the host of a URL. The path is a secret."""
    return urlsplit(url).hostname or "?"


class SystemdNotifier:
    """Tells systemd that the service is ready, that it stops, and that its event loop runs (``sd_notify``).

    Does nothing if systemd has not asked for these messages (``Type=notify``, ``WatchdogSec=``).
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        is_for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        micros = os.environ.get("WATCHDOG_USEC", "")
        self._every = int(micros) / 2e6 if is_for_us and micros.isascii() and micros.isdecimal() else 0.0
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Report that the service is ready, and start to feed the watchdog."""
        self.notify("READY=1")
        if self._address and self._every > 0:
            self._beat()

    def close(self) -> None:
        """Report that the service stops."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.notify("STOPPING=1")

    def notify(self, message: str) -> None:
        """Send one message, in the format of sd_notify(3)."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # the loop must not wait for a systemd that does not read
            sender.sendto(message.encode(), address)

    def _beat(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._beat)
        self.notify("WATCHDOG=1")


class LivenessReporter:
    """Runs the heartbeat, if one is configured, and the systemd notifier, from ``open`` to ``close`` in one loop."""

    def __init__(self, settings: AlertSettings) -> None:
        self._heartbeat = (
            Heartbeat(settings.heartbeat_url, settings.heartbeat_every) if settings.heartbeat_url else None
        )
        self._systemd = SystemdNotifier()

    def open(self) -> None:
        """Start the heartbeat and the notifier."""
        self._systemd.open()
        if self._heartbeat is not None:
            self._heartbeat.open()

    def close(self) -> None:
        """Stop the heartbeat and the notifier."""
        if self._heartbeat is not None:
            self._heartbeat.close()
        self._systemd.close()
