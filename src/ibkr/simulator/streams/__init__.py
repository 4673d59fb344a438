"""Market data streams, which continue until they are cancelled."""
