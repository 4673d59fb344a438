"""A window that shows a connection, and lets a person trade only while orders may be sent.

pip install '/path/to/this/clone[qt]', then: python examples/qt_window.py. Port and client id come from ibkr.toml or
IBKR_... variables. Without TWS: ibkr simulate --control 7498, and ibkr simulate fault restart 5.
"""

import sys

from PySide6.QtWidgets import QApplication, QHBoxLayout, QLabel, QListWidget, QPushButton, QVBoxLayout, QWidget

from ibkr import ConnectionState, IBConnector, Status, load_config
from ibkr.qt import ConnectorSignals, StatusLight


class Window(QWidget):
    """A light, the reason, two buttons, and a list of events."""

    def __init__(self, connector: IBConnector) -> None:
        super().__init__()
        self.connector = connector
        self.setWindowTitle(f"IBKR {connector.host}:{connector.port}")
        self.signals = ConnectorSignals(connector, self)
        self.reason = QLabel(wordWrap=True)
        self.buy = QPushButton("Buy")
        reconnect = QPushButton("Reconnect now")
        reconnect.clicked.connect(self.again)
        self.events = QListWidget()
        top = QHBoxLayout()
        top.addWidget(StatusLight(self.signals))
        top.addStretch()
        top.addWidget(self.buy)
        top.addWidget(reconnect)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.reason)
        layout.addWidget(self.events)

        self.signals.status_changed.connect(self.show_status)
        self.signals.outage_began.connect(lambda outage: self.events.addItem(f"lost: {outage.reason}"))
        self.signals.outage_ended.connect(lambda outage: self.events.addItem(f"back after {outage.seconds:.1f} s"))
        self.signals.gap_reported.connect(lambda gap: self.events.addItem(f"during the outage: {gap}"))
        self.show_status(self.signals.status)

    def again(self) -> None:
        if self.signals.status.state is ConnectionState.FAILED:
            self.connector.start_in_thread(background=True)
        else:
            self.connector.reconnect()

    def show_status(self, status: Status) -> None:
        self.reason.setText(status.reason)
        self.buy.setEnabled(status.may_trade)
        self.buy.setToolTip(status.may_trade_reason)


def main() -> int:
    app = QApplication(sys.argv)
    connector = IBConnector.from_config(load_config())
    window = Window(connector)
    window.show()
    connector.start_in_thread(background=True)  # the gateway may start later
    app.aboutToQuit.connect(connector.stop)
    return app.exec()


if __name__ == "__main__":
    sys.exit(main())
