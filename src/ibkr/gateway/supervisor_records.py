"""What a running supervisor keeps on disk. An error of the disk does not end the supervision.

Everything is also in memory. If a file cannot be written, or somebody has removed it, it is written again as soon as
this is possible.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta

from ibkr.core.gateway_status import GatewayStatus
from ibkr.core.restart_policy import Restart
from ibkr.gateway.driver_interface import GatewayDriver
from ibkr.gateway.gateway_store import GatewayStore, SupervisorAnswer, SupervisorRequest
from ibkr.gateway.store_errors import STORE_ERRORS, SupervisorRunning, store_error_text

_log = logging.getLogger("ibkr.gateway")

_RETRY_AFTER = 5.0
"""Seconds between two attempts while the files cannot be used. A locked database delays each attempt by 2 s."""
_RESTARTS_KEPT = timedelta(days=8)


class SupervisorRecords:
    """The files of one supervisor. Only ``opened`` raises an exception if they cannot be used.

    Args:
        store: The folder.
        driver: The file that names its process is written again, too.
        restarts: The restarts that are already stored.
    """

    def __init__(self, store: GatewayStore, driver: GatewayDriver, restarts: Iterable[Restart]) -> None:
        self.trouble = ""
        """Why the files cannot be used at the moment, with the cure. Empty if they can be used."""
        self._store = store
        self._driver = driver
        self._restarts = dict.fromkeys(restarts, "")
        self._status: GatewayStatus | None = None
        self._answers: dict[str, SupervisorAnswer] = {}
        self._has_unsaved = True
        self._database_number = 0
        self._retry_at = float("-inf")
        self._logged: set[str] = set()
        self._lock: sqlite3.Connection | None = None
        self._lock_id: tuple[int, int] | None = None

    @property
    def alert(self) -> str:
        """The trouble as an alert. Empty if there is none."""
        return f"the supervision goes on, but its files cannot be written: {self.trouble}" if self.trouble else ""

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Be the only supervisor while the context lasts.

        Raises:
            SupervisorRunning: Another process supervises this gateway.
            OSError, sqlite3.Error: The folder cannot be used.
        """
        with closing(self._store):
            self._take_lock()
            try:
                self._store.check_writable()
                try:
                    yield
                finally:
                    self._save_at_end()
            finally:
                assert self._lock is not None, "it was taken"
                self._lock.close()

    def write_status(self, status: GatewayStatus) -> None:
        """Publish the state of the gateway to other programs."""
        self._status, self._has_unsaved = status, True
        self._save_if_due()

    def add_restart(self, restart: Restart, reason: str) -> None:
        """Store one restart."""
        self._restarts[restart], self._has_unsaved = reason, True
        self._save_if_due()

    def next_request(self) -> tuple[str, SupervisorRequest] | None:
        """Return the next request and its id, or ``None``. Also write what could not be written before."""
        if not self._is_due():
            return None
        try:
            found = self._store.next_request(self._answers)
        except STORE_ERRORS as error:
            self._begin_trouble(error)
            return None
        self._save()
        return found

    def save_answer(self, name: str, answer: SupervisorAnswer) -> None:
        """Store the answer to a request."""
        self._answers[name], self._has_unsaved = answer, True
        self._save_if_due()

    def add_trouble(self, answer: SupervisorAnswer) -> SupervisorAnswer:
        """Return the last answer before the program ends. If there is trouble with the files, the answer says so."""
        self._save_at_end()
        if not self.trouble:
            return answer
        return replace(answer, message=f"{answer.message}, but this could not be recorded: {self.trouble}")

    def _is_due(self) -> bool:
        return not self.trouble or time.monotonic() >= self._retry_at

    def _save_if_due(self) -> None:
        if self._is_due():
            self._save()

    def _save_at_end(self) -> None:
        if self._has_unsaved:
            self._save()

    def _save(self) -> None:
        """Write what is not written yet, and make again what was removed."""
        try:
            number = self._store.database_number()
            is_database_new = number != self._database_number
            is_lock_lost = (lock_id := self._store.lock_id()) is None or lock_id != self._lock_id
            if (is_lock_lost or (is_database_new and self._database_number)) and not self.trouble:
                _log.warning("a file in %s was removed, and is made again", self._store.folder)
            if is_lock_lost:
                self._take_lock()
            self._driver.save_process()
            if self._has_unsaved or is_database_new:
                self._save_all()
                self._has_unsaved, self._database_number = False, number
        except (*STORE_ERRORS, SupervisorRunning) as error:
            self._begin_trouble(error)
        else:
            self._end_trouble()

    def _take_lock(self) -> None:
        """Take the lock. If the file of the lock was removed, another process may have taken a new lock already."""
        lock = self._store.acquire_lock()
        if self._lock is not None:
            self._lock.close()
        self._lock, self._lock_id = lock, self._store.lock_id()

    def _save_all(self) -> None:
        if self._restarts:
            oldest = max(each.at for each in self._restarts) - _RESTARTS_KEPT
            self._restarts = {each: reason for each, reason in self._restarts.items() if each.at >= oldest}
            self._store.save_restarts(self._restarts)
            self._store.forget_restarts_before(oldest)
        if self._status is not None:
            self._store.write_status(self._status)
        for name in list(self._answers):
            self._store.save_answer(name, self._answers[name])
            del self._answers[name]

    def _begin_trouble(self, error: Exception) -> None:
        """Note an error of the files, and log it unless it was logged since the trouble began."""
        is_taken = isinstance(error, SupervisorRunning)
        self.trouble = f"{error}: end one of the two" if is_taken else store_error_text(error)
        self._retry_at = time.monotonic() + _RETRY_AFTER
        if self.trouble not in self._logged:
            self._logged.add(self.trouble)
            _log.error("%s", self.alert)

    def _end_trouble(self) -> None:
        if self.trouble:
            self.trouble = ""
            self._logged.clear()
            _log.warning("its files are written again: %s", self._store.folder)
