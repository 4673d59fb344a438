"""Market data that goes on until it is cancelled."""
