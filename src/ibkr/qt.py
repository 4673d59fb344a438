"""For Qt programs: a connector's events as Qt signals in the GUI thread, and a light that shows the state.

Needs the extra ``qt``, installed from a checkout of the package. See docs/qt.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from PySide6.QtCore import QObject, QRectF, QSize, Qt, Signal, Slot
    from PySide6.QtGui import QColor, QPainter, QPaintEvent
    from PySide6.QtWidgets import QSizePolicy, QWidget
except ModuleNotFoundError as error:
    from ibkr.core.extras import install_hint

    raise ModuleNotFoundError(f"{install_hint('ibkr.qt', 'qt', 'PySide6-Essentials')} ({error})") from error

from ibkr.core.account_masking import mask_accounts
from ibkr.core.states import ConnectionState
from ibkr.observe.outage_tracker import OutageTracker

if TYPE_CHECKING:
    from ibkr.connector import IBConnector
    from ibkr.core.gap_report import GapReport
    from ibkr.core.status import Status

# The colours differ not only in hue: light and dark colours alternate on the way to READY.
COLOURS = {
    ConnectionState.READY: "#2ea043",
    ConnectionState.SYNCING: "#58a6ff",
    ConnectionState.CONNECTING: "#58a6ff",
    ConnectionState.DEGRADED: "#e3a008",
    ConnectionState.RECONNECTING: "#e5534b",
    ConnectionState.FAILED: "#b62324",
    ConnectionState.DISCONNECTED: "#8b949e",
}
"""The colour of each state."""


class ConnectorSignals(QObject):
    """Emits a connector's events as signals, in the thread in which this object was made.

    The connector may run in any thread. ``status`` is the last status. The object listens until ``close()``, or until
    its parent is deleted.

    Args:
        connector: The connector to listen to.
        parent: The Qt parent.
    """

    status_changed = Signal(object)
    """Each new ``Status``, in order."""
    outage_began = Signal(object)
    """``READY`` is lost. Has an ``ibkr.core.outage.Outage``."""
    outage_ended = Signal(object)
    """The same ``Outage``, with ``ended_at``, ``seconds`` and ``outcome``."""
    gap_reported = Signal(object)
    """What changed at the broker during an outage: a ``GapReport``."""

    _status_received = Signal(object)
    _gap_received = Signal(object)

    def __init__(self, connector: IBConnector, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._outages = OutageTracker()
        # These two signals are queued. So the public signals are emitted in this object's thread, and each slot runs
        # there, even a plain function.
        self._status_received.connect(self._handle_status, Qt.ConnectionType.QueuedConnection)
        self._gap_received.connect(self._handle_gap, Qt.ConnectionType.QueuedConnection)
        unsubscribes = (connector.on_status(self._status_received.emit), connector.on_gap(self._gap_received.emit))
        self._unsubscribes = unsubscribes
        self.destroyed.connect(lambda: [unsubscribe() for unsubscribe in unsubscribes])
        self.status: Status = connector.status
        self._outages.update(self.status)

    def close(self) -> None:
        """Stop listening. Events that are already queued are still emitted."""
        for unsubscribe in self._unsubscribes:
            unsubscribe()

    @Slot(object)
    def _handle_status(self, status: Status) -> None:
        self.status = status
        was_out = self._outages.current is not None
        outage = self._outages.update(status)
        self.status_changed.emit(status)
        if outage is not None and outage.ended_at is not None:
            self.outage_ended.emit(outage)
        elif outage is not None and not was_out:
            self.outage_began.emit(outage)

    @Slot(object)
    def _handle_gap(self, gap: GapReport) -> None:
        self.gap_reported.emit(gap)


class StatusLight(QWidget):
    """A light in the colour of the state, with the name of the state next to it.

    The tool tip says why, and whether orders may be sent.

    Args:
        signals: Where the status comes from.
        parent: The Qt parent.
        show_accounts: Do not mask account ids.
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
        """Show a status."""
        self._state = status.state
        text = str(status) if self._show_accounts else mask_accounts(str(status), status.accounts)
        self.setToolTip(text)
        self.setAccessibleName(text)
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size with space for the longest state."""
        metrics = self.fontMetrics()
        longest = max(metrics.horizontalAdvance(state) for state in ConnectionState)
        return QSize(longest + 2 * metrics.height(), metrics.height() + 4)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the light and the text."""
        size = self.fontMetrics().height()
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(COLOURS[self._state]))
            painter.drawEllipse(QRectF(2, (self.height() - size) / 2 + 1, size - 2, size - 2))
            painter.setPen(self.palette().windowText().color())
            room = self.rect().adjusted(size + size // 2, 0, 0, 0)
            painter.drawText(room, Qt.AlignmentFlag.AlignVCenter, self._state)
