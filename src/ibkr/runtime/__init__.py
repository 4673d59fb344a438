"""Runs the state machine in an event loop: event queue, timers, effects, threads. asyncio only, no client library."""
