"""Every test of the configuration runs in an empty directory, without our settings in its environment."""

import os

import pytest


@pytest.fixture(autouse=True)
def cwd(tmp_path, monkeypatch):
    for variable in list(os.environ):
        if variable.startswith("IBKR_"):
            monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    return tmp_path
