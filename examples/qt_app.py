"""A Qt window on the event loop of qasync. The connection uses the same loop.

``pip install qasync PySide6``, then ``python qt_app.py``. IBKR_PORT is the port of the gateway.
"""

import asyncio

import qasync
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget

from ibkr import IBConnector, NotReady, Status, load_config


class Window(QWidget):
    """Shows the status, and has a button that reconnects."""

    def __init__(self, connector: IBConnector) -> None:
        super().__init__()
        self.connector = connector
        self.label = QLabel()
        self.button = QPushButton("Reconnect")
        self.button.clicked.connect(self.reconnect)
        layout = QVBoxLayout(self)
        layout.addWidget(self.label)
        layout.addWidget(self.button)
        self.closed = asyncio.Event()
        self.show_status(connector.status)
        connector.on_status(self.show_status)

    def show_status(self, status: Status) -> None:
        """Show the status. This function runs in Qt's thread, like the event loop, so it may change widgets."""
        self.label.setText(str(status))

    def reconnect(self) -> None:
        """Handle a click on the button."""
        try:
            self.connector.reconnect()
        except NotReady as error:
            self.label.setText(str(error))

    def closeEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """Note that the window was closed."""
        self.closed.set()


async def main() -> None:
    """Show the window, even if the gateway does not run yet. Keep the loop until the connection has ended."""
    QApplication.setQuitOnLastWindowClosed(False)
    connector = IBConnector.from_config(load_config())
    window = Window(connector)
    window.show()
    connecting = asyncio.create_task(connector.connect_async(wait=True))
    await window.closed.wait()
    connecting.cancel()
    await connector.disconnect_async()


if __name__ == "__main__":
    qasync.run(main())
