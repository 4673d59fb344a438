"""Open the window of examples/qt_app.py without a screen, press its button, close it."""

import asyncio

import qasync
import qt_app  # from examples/
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from ibkr.simulator import ThreadedGateway


async def use(gateway: ThreadedGateway) -> None:
    program = asyncio.create_task(qt_app.main())
    async with asyncio.timeout(20):
        # Qt has no event to await for these two.
        while not (windows := [one for one in QApplication.topLevelWidgets() if isinstance(one, qt_app.Window)]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        [window] = windows

        async def shows(word: str) -> None:
            while word not in window.label.text():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

        await shows("READY")
        gateway.fault("restart", 0.3)
        await shows("RECONNECTING")
        await shows("READY")
        QTest.mouseClick(window.button, Qt.MouseButton.LeftButton)
        await shows("RECONNECTING")
        await shows("READY")
        assert window.connector.status.outages == 2
        window.close()
        await program


def drive(gateway: ThreadedGateway) -> None:
    qasync.run(use(gateway))
    gateway.wait_for(lambda gateway: not gateway.client_ids)
