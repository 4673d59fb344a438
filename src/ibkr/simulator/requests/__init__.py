"""Requests: their names and ids, their fields, and their handlers. `request_handlers` lists all handlers."""
