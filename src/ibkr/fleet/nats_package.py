"""The names that the fleet uses from the package nats-py. The other modules import these names from here. So an import
that fails always names the extra, no matter which module is imported first.
"""

from __future__ import annotations

from ibkr.core.errors import ConfigError
from ibkr.core.extras import install_hint

try:
    import nats
    import nats.errors
    import nats.js.errors
    from nats.aio.client import Client, Srv
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext
    from nats.js.api import ConsumerConfig, DeliverPolicy, KeyValueConfig, StreamConfig
    from nats.js.errors import KeyDeletedError, KeyNotFoundError, KeyWrongLastSequenceError
    from nats.js.kv import KV_DEL, KV_OP, KeyValue
except ModuleNotFoundError as error:
    raise ConfigError("ibkr.fleet.servers", "...", install_hint("a fleet", "fleet", "nats-py")) from error

__all__ = [
    "KV_DEL",
    "KV_OP",
    "Client",
    "ConsumerConfig",
    "DeliverPolicy",
    "JetStreamContext",
    "KeyDeletedError",
    "KeyNotFoundError",
    "KeyValue",
    "KeyValueConfig",
    "KeyWrongLastSequenceError",
    "Msg",
    "Srv",
    "StreamConfig",
    "nats",
]
