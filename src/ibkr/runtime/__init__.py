"""The fact queue, the timers, and the carrying out of orders. asyncio, no client library."""
