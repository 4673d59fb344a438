"""Keeps a program connected to Interactive Brokers' TWS or IB Gateway, and reports the state of the connection.

Public are:

- the names in ``ibkr.__all__``
- the names in ``__all__`` of ``ibkr.simulator`` (a simulated gateway) and ``ibkr.proxy`` (records and replays sessions)
- ``ibkr.qt`` (signals and widgets for Qt) and ``ibkr.pytest_plugin`` (the fixture ``ib_gateway``)
- what the documentation imports from ``ibkr.observe`` (alerts, commands, history) and ``ibkr.gateway``

Everything else may change in any release.

``import ibkr`` loads no client library. Each name is imported when it is first used.
"""

from __future__ import annotations

# Not imported from typing: that import would cost every program two milliseconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ibkr.config import Config, load_config
    from ibkr.connector import IBConnector
    from ibkr.core.deadline_settings import Deadlines
    from ibkr.core.errors import (
        ClientIdInUse,
        ConfigError,
        ConnectError,
        FailureKind,
        FleetError,
        GatewayClosed,
        GatewaySilent,
        GatewayUnreachable,
        IbkrError,
        JournalError,
        JournalInUse,
        NotAGateway,
        NotReady,
        UnsupportedVersion,
    )
    from ibkr.core.fleet_settings import Fleet
    from ibkr.core.gap_report import GapReport
    from ibkr.core.lease import LeaseRole, LeaseStatus
    from ibkr.core.outage import Outage
    from ibkr.core.policy import Policy
    from ibkr.core.states import ConnectionState, FarmState, SessionState, UpstreamState
    from ibkr.core.stats import Stats
    from ibkr.core.status import Status
    from ibkr.core.subscription_info import SubscriptionState, SubscriptionStatus

    __version__: str

__all__ = [
    "ClientIdInUse",
    "Config",
    "ConfigError",
    "ConnectError",
    "ConnectionState",
    "Deadlines",
    "FailureKind",
    "FarmState",
    "Fleet",
    "FleetError",
    "GapReport",
    "GatewayClosed",
    "GatewaySilent",
    "GatewayUnreachable",
    "IBConnector",
    "IbkrError",
    "JournalError",
    "JournalInUse",
    "LeaseRole",
    "LeaseStatus",
    "NotAGateway",
    "NotReady",
    "Outage",
    "Policy",
    "SessionState",
    "Stats",
    "Status",
    "SubscriptionState",
    "SubscriptionStatus",
    "UnsupportedVersion",
    "UpstreamState",
    "__version__",
    "load_config",
]

_ERRORS = "ibkr.core.errors"
_MODULES = {
    "Config": "ibkr.config",
    "load_config": "ibkr.config",
    "IBConnector": "ibkr.connector",
    "ClientIdInUse": _ERRORS,
    "ConfigError": _ERRORS,
    "ConnectError": _ERRORS,
    "FailureKind": _ERRORS,
    "FleetError": _ERRORS,
    "GatewayClosed": _ERRORS,
    "GatewaySilent": _ERRORS,
    "GatewayUnreachable": _ERRORS,
    "IbkrError": _ERRORS,
    "JournalError": _ERRORS,
    "JournalInUse": _ERRORS,
    "NotAGateway": _ERRORS,
    "NotReady": _ERRORS,
    "UnsupportedVersion": _ERRORS,
    "Deadlines": "ibkr.core.deadline_settings",
    "Fleet": "ibkr.core.fleet_settings",
    "LeaseRole": "ibkr.core.lease",
    "LeaseStatus": "ibkr.core.lease",
    "GapReport": "ibkr.core.gap_report",
    "Outage": "ibkr.core.outage",
    "Policy": "ibkr.core.policy",
    "ConnectionState": "ibkr.core.states",
    "FarmState": "ibkr.core.states",
    "SessionState": "ibkr.core.states",
    "UpstreamState": "ibkr.core.states",
    "Stats": "ibkr.core.stats",
    "Status": "ibkr.core.status",
    "SubscriptionState": "ibkr.core.subscription_info",
    "SubscriptionStatus": "ibkr.core.subscription_info",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("ibkr-connector")
    elif name in _MODULES:
        from importlib import import_module

        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module 'ibkr' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
