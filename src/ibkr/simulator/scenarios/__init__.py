"""Scenarios: faults on a timeline, read from TOML and run. The package contains the files of this folder."""
