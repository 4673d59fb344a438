"""Faults on a timeline: read from TOML, and played. The files here are shipped."""
