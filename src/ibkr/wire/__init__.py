"""The wire format of TWS / IB Gateway: frames, fields, handshake, and message layouts.

Pure: bytes in, values out. There are no sockets and no event loop, so both ends of a connection can use it. The layouts
are in modules of their own, because a connector does not need them: `messages`, `data_messages` and `order_messages`
(sent by the gateway), `request_layouts` and `order_request_layouts` (sent by clients). `messages` says how to add a
message.
"""

from ibkr.wire.fields import decode_fields, encode_fields, escape_text, unescape_text
from ibkr.wire.frame import (
    MAX_FRAME,
    MAX_FRAME_BEFORE_HANDSHAKE,
    FrameReader,
    FrameTooLong,
    frame,
)
from ibkr.wire.handshake import (
    MAGIC,
    BadHello,
    ClientHello,
    Opening,
    classify_opening,
    hello_bytes,
    parse_hello,
    version_frame,
)

__all__ = [
    "MAGIC",
    "MAX_FRAME",
    "MAX_FRAME_BEFORE_HANDSHAKE",
    "BadHello",
    "ClientHello",
    "FrameReader",
    "FrameTooLong",
    "Opening",
    "classify_opening",
    "decode_fields",
    "encode_fields",
    "escape_text",
    "frame",
    "hello_bytes",
    "parse_hello",
    "unescape_text",
    "version_frame",
]
