"""The cost of ``import ibkr`` and its public names, in a new interpreter."""

import importlib.metadata
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ibkr
from ibkr.core import errors


def fresh(code: str) -> object:
    """The value that the code leaves in ``answer``, in a new interpreter."""
    script = f"import sys; before = set(sys.modules)\n{code}\nimport json; print(json.dumps(answer))"
    # With -P, Python does not import from the current directory.
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_import_loads_nothing_else():
    assert fresh("import ibkr; answer = sorted(set(sys.modules) - before)") == ["__future__", "ibkr"]


@pytest.mark.parametrize("name", ["load_config", "Policy", "Status", "ConnectionState", "ConfigError", "__version__"])
def test_small_names_load_no_client_library_and_no_event_loop(name):
    loaded = fresh(f"import ibkr; ibkr.{name}; answer = sorted(sys.modules)")
    assert {"asyncio", "eventkit", "ib_async", "ib_insync", "rich", "typer"}.isdisjoint(loaded)


@pytest.mark.parametrize("module", ["ibkr.connector", "ibkr.cli.app"])
def test_the_client_library_is_loaded_with_the_first_connector_and_not_before(module):
    loaded = fresh(f"import {module}; answer = sorted(sys.modules)")
    assert {"eventkit", "ib_async", "ib_insync"}.isdisjoint(loaded)


def test_a_connector_does_not_load_the_catalogue_of_codes():
    loaded = fresh("from ibkr import IBConnector; IBConnector('h', 1, 1); answer = sorted(sys.modules)")
    assert "ibkr.core.codes.reactions" in loaded
    assert {"ibkr.core.codes.orders_100", "ibkr.core.codes.client"}.isdisjoint(loaded)


def test_a_connector_without_a_fleet_loads_nothing_of_it():
    loaded = fresh("from ibkr import IBConnector; IBConnector('h', 1, 1); answer = sorted(sys.modules)")
    assert not [name for name in loaded if name.partition(".")[0] == "nats" or "fleet_link" in name]
    assert not [name for name in loaded if name.startswith("ibkr.fleet")]


@pytest.mark.parametrize("module", ["ibkr.config", "ibkr.connector", "ibkr.observe"])
def test_without_a_handler_of_the_program_the_logger_is_quiet(module):
    code = f"import {module}, logging; logging.getLogger('ibkr.any').warning('loud'); answer = 1"
    assert fresh(code) == 1


@pytest.mark.parametrize("name", ibkr.__all__)
def test_every_public_name_is_there(name):
    value = getattr(ibkr, name)
    if name != "__version__":
        assert value.__name__ == name


def test_dir_lists_the_public_names_before_they_are_used():
    assert set(fresh("import ibkr; answer = dir(ibkr)")) >= set(ibkr.__all__)


def test_every_error_is_public():
    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert tree <= set(ibkr.__all__)


def test_the_version_is_the_distribution_s():
    assert ibkr.__version__ == importlib.metadata.version("ibkr-connector")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'ibkr' has no attribute 'IBConector'"):
        ibkr.IBConector  # noqa: B018


def test_without_qt_the_cure_is_reported():
    code = """
        import sys
        sys.modules["PySide6"] = None
        try:
            import ibkr.qt
        except ModuleNotFoundError as error:
            answer = str(error)
    """
    assert "pip install '/path/to/the/checkout[qt]'" in fresh(inspect.cleandoc(code))


@pytest.mark.parametrize("name", sorted(file.stem for file in (Path(ibkr.__file__).parent / "fleet").glob("[!_]*.py")))
def test_each_module_of_the_fleet_may_be_the_first_without_its_extra(name):
    """Whichever module a program imports first, the cure is reported."""
    code = f"""
        import sys
        sys.modules["nats"] = None
        from ibkr import ConfigError
        try:
            import ibkr.fleet.{name}
            answer = "imported"
        except ConfigError as error:
            answer = str(error)
    """
    answer = fresh(inspect.cleandoc(code))
    expected = "imported" if name in ("nats_server", "subjects") else "pip install '/path/to/the/checkout[fleet]'"
    assert expected in answer
