"""Scenarios: faults on a timeline, read from TOML and played. The package contains the files of this folder."""
