"""One connection: listener, session start, received requests, sent messages."""
