"""Instruments, trading hours, and quotes."""
