"""A connection in a Qt program: its news as signals in the GUI's thread, and a light that shows its state.

Needs the extra ``qt``: ``pip install 'ibkr-connector[qt]'``. See docs/qt.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from PySide6.QtCore import QObject, QRectF, QSize, Qt, Signal, Slot
    from PySide6.QtGui import QColor, QPainter, QPaintEvent
    from PySide6.QtWidgets import QSizePolicy, QWidget
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"ibkr.qt needs Qt: pip install 'ibkr-connector[qt]' ({error})") from error

from ibkr.core.accounts import mask_accounts
from ibkr.core.state import ConnectionState
from ibkr.observe.outages import OutageWatch

if TYPE_CHECKING:
    from ibkr.connector import IBConnector
    from ibkr.core.gap import GapReport
    from ibkr.core.status import Status

# Told apart by more than the hue: light and dark alternate along the way to READY.
COLOURS = {
    ConnectionState.READY: "#2ea043",
    ConnectionState.SYNCING: "#58a6ff",
    ConnectionState.CONNECTING: "#58a6ff",
    ConnectionState.DEGRADED: "#e3a008",
    ConnectionState.RECONNECTING: "#e5534b",
    ConnectionState.FAILED: "#b62324",
    ConnectionState.DISCONNECTED: "#8b949e",
}
"""Each state's colour."""


class ConnectorSignals(QObject):
    """What a connector tells, in the thread that this object was made in, whichever thread the connector lives in.

    ``status`` is the one that was told last. It listens until ``close()``, or until its parent is deleted.
    """

    status_changed = Signal(object)
    """Each new ``Status``, in order."""
    outage_began = Signal(object)
    """``READY`` is lost: an ``ibkr.core.outage.Outage``."""
    outage_ended = Signal(object)
    """The same ``Outage``, with ``ended_at``, ``seconds`` and ``outcome``."""
    gap_reported = Signal(object)
    """What changed at the broker meanwhile: a ``GapReport``."""

    _status_came = Signal(object)
    _gap_came = Signal(object)

    def __init__(self, connector: IBConnector, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._outages = OutageWatch()
        # Queued in any case, so that all who listen to the public signals, plain functions too, run in this thread.
        self._status_came.connect(self._take_status, Qt.ConnectionType.QueuedConnection)
        self._gap_came.connect(self._take_gap, Qt.ConnectionType.QueuedConnection)
        unsubscribe = (connector.on_status(self._status_came.emit), connector.on_gap(self._gap_came.emit))
        self._unsubscribe = unsubscribe
        self.destroyed.connect(lambda: [end() for end in unsubscribe])
        self.status: Status = connector.status
        self._outages.tell(self.status)

    def close(self) -> None:
        """Listen no more. What is on its way still comes."""
        for end in self._unsubscribe:
            end()

    @Slot(object)
    def _take_status(self, status: Status) -> None:
        self.status = status
        lasts = self._outages.current is not None
        outage = self._outages.tell(status)
        self.status_changed.emit(status)
        if outage is not None and outage.ended_at is not None:
            self.outage_ended.emit(outage)
        elif outage is not None and not lasts:
            self.outage_began.emit(outage)

    @Slot(object)
    def _take_gap(self, gap: GapReport) -> None:
        self.gap_reported.emit(gap)


class StatusLight(QWidget):
    """A light in the state's colour with the state's name beside it; the tool tip says why, and whether orders may go.

    ``show_accounts``: do not mask account ids.
    """

    def __init__(
        self, signals: ConnectorSignals, parent: QWidget | None = None, *, show_accounts: bool = False
    ) -> None:
        super().__init__(parent)
        self._show_accounts = show_accounts
        self.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
        self.show_status(signals.status)
        signals.status_changed.connect(self.show_status)

    @Slot(object)
    def show_status(self, status: Status) -> None:
        """Show this status."""
        self._state = status.state
        words = str(status) if self._show_accounts else mask_accounts(str(status), status.accounts)
        self.setToolTip(words)
        self.setAccessibleName(words)
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for the longest state."""
        metrics = self.fontMetrics()
        longest = max(metrics.horizontalAdvance(state) for state in ConnectionState)
        return QSize(longest + 2 * metrics.height(), metrics.height() + 4)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw it."""
        size = self.fontMetrics().height()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(COLOURS[self._state]))
            painter.drawEllipse(QRectF(2, (self.height() - size) / 2 + 1, size - 2, size - 2))
            painter.setPen(self.palette().windowText().color())
            room = self.rect().adjusted(size + size // 2, 0, 0, 0)
            painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, self._state)
