"""A transparent proxy in front of a real gateway: it shows, records and disturbs sessions. It also replays recordings.

`Proxy` forwards bytes, `Recorder` writes recordings without personal data, `Recording` reads one, and `ReplayGateway`
uses one to answer any client. `ibkr.proxy.compare` compares a recording with the simulated gateway.

- Bytes: `proxy_server`, `proxied_connection`, `socket_side`. Faults: `proxy_faults`, `delivery`.
- Messages: `connection_parser`, `message_catalog`, `message_ids`, `message_logger`, `observer_queue`.
- Recordings: `recording_writer`, `cleaning` (removes personal data; the lists are in `personal_fields`),
  `recording_reader`, `recording_stats`.
- Replay: `replay_gateway`, `replay_connection`, `response_script`, `replay_fixture`.
- Comparison: `compare`, `message_format`, `request_replayer`, `simulator_setup`.
"""

from ibkr.proxy.proxy_server import Proxy
from ibkr.proxy.recording_reader import Entry, Recording, RecordingError
from ibkr.proxy.recording_writer import Recorder
from ibkr.proxy.replay_gateway import ReplayGateway

__all__ = ["Entry", "Proxy", "Recorder", "Recording", "RecordingError", "ReplayGateway"]
