"""The connection on a page, in JSON, as health checks and metrics (extra ``serve``). It renders and decides nothing."""
