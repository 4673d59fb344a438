"""The state light, and the example's window, rendered without a screen."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtGui import QColor, QImage

from ibkr import ConnectionState, IBConnector
from ibkr.qt import COLOURS, ConnectorSignals, StatusLight
from ibkr.simulator import ThreadedGateway

EXAMPLES = Path(__file__).parents[2] / "examples"


def picture(widget, path: Path) -> QImage:
    """Its picture; also saved to a file, for people who want to see it."""
    image = widget.grab().toImage()
    assert image.save(str(path))
    return image


@pytest.fixture
def light(app, connector: IBConnector):
    signals = ConnectorSignals(connector)
    light = StatusLight(signals)
    light.resize(light.sizeHint())
    yield light
    signals.close()


@pytest.mark.parametrize("state", ConnectionState)
def test_every_state_has_its_colour_and_its_name(
    state: ConnectionState, light: StatusLight, connector, tmp_path
) -> None:
    status = replace(connector.status, state=state, reason="DU1234567 is not here", accounts=("DU1234567",))
    light.show_status(status)
    image = picture(light, tmp_path / f"{state}.png")
    height = light.fontMetrics().height()
    assert image.pixelColor(height // 2, image.height() // 2) == QColor(COLOURS[state])
    background = image.pixelColor(image.width() - 1, 0)
    beside = [image.pixelColor(x, y) for x in range(height + height // 2, image.width()) for y in range(image.height())]
    assert any(colour != background for colour in beside), "the name is written"
    assert light.toolTip() == light.accessibleName() == f"{state} (DU***67 is not here); may not trade"


STATES = [ConnectionState(name) for name in ["READY", "SYNCING", "DEGRADED", "RECONNECTING", "FAILED", "DISCONNECTED"]]


def test_states_that_differ_much_differ_in_colour() -> None:
    assert len({COLOURS[state] for state in STATES}) == 6


def test_the_window_of_the_example(gateway: ThreadedGateway, connector: IBConnector, until, tmp_path) -> None:
    spec = importlib.util.spec_from_file_location("qt_window", EXAMPLES / "qt_window.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    window = example.Window(connector)
    window.show()
    assert not window.buy.isEnabled()
    connector.start_in_thread(background=True)
    until(window.buy.isEnabled)
    assert window.reason.text() == "session and upstream up"
    gateway.fault("lose_upstream")
    until(lambda: not window.buy.isEnabled())
    picture(window, tmp_path / "window.png")
    gateway.fault("restore_upstream")
    until(window.buy.isEnabled)
    until(lambda: window.events.count() == 3)
    window.again()
    until(lambda: window.events.count() == 6)
    picture(window, tmp_path / "window_back.png")
    told = [window.events.item(number).text() for number in range(6)]
    assert told[0] == "lost: the gateway has lost its link to IB's servers"
    assert [words.split()[0] for words in told] == 2 * ["lost:", "back", "during"]
    window.signals.close()
    window.close()
