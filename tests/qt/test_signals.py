"""Statuses of a connector that runs in its own thread arrive in the thread of the GUI."""

from __future__ import annotations

import gc
import logging
import threading

import shiboken6
from PySide6.QtCore import QObject

from ibkr import ConnectionState, IBConnector
from ibkr.qt import ConnectorSignals
from ibkr.simulator import ThreadedGateway

S = ConnectionState


def test_every_status_in_order_and_in_the_thread_of_the_gui(connector: IBConnector, until) -> None:
    threads, states, told = set(), [], []
    signals = ConnectorSignals(connector)
    assert signals.status.state is S.DISCONNECTED

    def note(status) -> None:
        threads.add(threading.get_ident())
        assert signals.status is status
        if states[-1:] != [status.state]:
            states.append(status.state)

    signals.status_changed.connect(note)
    connector.on_status(lambda status: told.append(threading.get_ident()))
    connector.start_in_thread(background=True)
    until(lambda: states[-1:] == [S.READY])
    assert states == [S.CONNECTING, S.SYNCING, S.READY]
    assert threads == {threading.get_ident()}
    assert threading.get_ident() not in told, "the connector's own thread is another"
    signals.close()


def test_an_outage_begins_and_ends(gateway: ThreadedGateway, connector: IBConnector, until) -> None:
    news = []
    signals = ConnectorSignals(connector)
    signals.outage_began.connect(lambda outage: news.append(("began", outage, threading.get_ident())))
    signals.outage_ended.connect(lambda outage: news.append(("ended", outage, threading.get_ident())))
    connector.start_in_thread()
    gateway.fault("restart", 0.5)
    until(lambda: len(news) == 2)
    (began, first, _), (ended, second, _) = news
    assert (began, ended) == ("began", "ended")
    assert (first.cause, first.ended_at, second.outcome) == ("session_lost", None, "recovered")
    assert second.seconds >= 0.4
    assert {thread for _, _, thread in news} == {threading.get_ident()}
    signals.close()


def test_what_changed_meanwhile_is_reported(gateway: ThreadedGateway, connector: IBConnector, until) -> None:
    gaps = []
    signals = ConnectorSignals(connector)
    signals.gap_reported.connect(lambda gap: gaps.append((gap, threading.get_ident())))
    connector.start_in_thread()
    gateway.fault("reset")
    until(lambda: gaps)
    assert gaps == [(connector.last_gap, threading.get_ident())]
    signals.close()


def test_after_close_nothing_comes(connector: IBConnector, until, app) -> None:
    states = []
    signals = ConnectorSignals(connector)
    signals.status_changed.connect(lambda status: states.append(status.state))
    signals.close()
    connector.start_in_thread()
    app.processEvents()
    assert (states, signals.status.state) == ([], S.DISCONNECTED)


def test_deleted_with_its_parent_it_is_no_listener_any_more(connector: IBConnector, caplog, app) -> None:
    parent = QObject()
    ConnectorSignals(connector, parent)
    shiboken6.delete(parent)
    gc.collect()
    with caplog.at_level(logging.ERROR):
        connector.start_in_thread()
        connector.stop()
    app.processEvents()
    assert caplog.text == ""
