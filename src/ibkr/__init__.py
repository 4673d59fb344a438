"""A connection to Interactive Brokers' TWS or IB Gateway that tells the truth and comes back by itself.

``import ibkr`` loads no client library; each name below is imported when it is first used.
"""

from __future__ import annotations

# Not from typing: its import would cost every program two milliseconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from ibkr.config import Config, load_config
    from ibkr.connector import IBConnector
    from ibkr.core.errors import (
        ClientIdInUse,
        ConfigError,
        ConnectError,
        FailureKind,
        GatewayClosed,
        GatewaySilent,
        GatewayUnreachable,
        IbkrError,
        NotAGateway,
        NotReady,
        UnsupportedVersion,
    )
    from ibkr.core.gap import GapReport
    from ibkr.core.policy import Policy
    from ibkr.core.state import ConnectionState, FarmState, SessionState, UpstreamState
    from ibkr.core.stats import Stats
    from ibkr.core.status import Status

    __version__: str

__all__ = [
    "ClientIdInUse",
    "Config",
    "ConfigError",
    "ConnectError",
    "ConnectionState",
    "FailureKind",
    "FarmState",
    "GapReport",
    "GatewayClosed",
    "GatewaySilent",
    "GatewayUnreachable",
    "IBConnector",
    "IbkrError",
    "NotAGateway",
    "NotReady",
    "Policy",
    "SessionState",
    "Stats",
    "Status",
    "UnsupportedVersion",
    "UpstreamState",
    "__version__",
    "load_config",
]

_ERRORS = "ibkr.core.errors"
_HOMES = {
    "Config": "ibkr.config",
    "load_config": "ibkr.config",
    "IBConnector": "ibkr.connector",
    "ClientIdInUse": _ERRORS,
    "ConfigError": _ERRORS,
    "ConnectError": _ERRORS,
    "FailureKind": _ERRORS,
    "GatewayClosed": _ERRORS,
    "GatewaySilent": _ERRORS,
    "GatewayUnreachable": _ERRORS,
    "IbkrError": _ERRORS,
    "NotAGateway": _ERRORS,
    "NotReady": _ERRORS,
    "UnsupportedVersion": _ERRORS,
    "GapReport": "ibkr.core.gap",
    "Policy": "ibkr.core.policy",
    "ConnectionState": "ibkr.core.state",
    "FarmState": "ibkr.core.state",
    "SessionState": "ibkr.core.state",
    "UpstreamState": "ibkr.core.state",
    "Stats": "ibkr.core.stats",
    "Status": "ibkr.core.status",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("ibkr-connector")
    elif name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'ibkr' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
