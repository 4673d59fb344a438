"""Shows the connection on a page, in JSON, as health checks and as metrics (extra ``serve``). Decides nothing."""
