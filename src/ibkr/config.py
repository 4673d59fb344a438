"""Settings from five places, later ones winning: defaults, ``ibkr.toml``, ``.env``, the environment, arguments.

The settings themselves are the fields of ``core.settings.Connection``, ``core.policy.Policy`` and, in the table
``[ibkr.gateway]``, ``core.gateway_settings.GatewaySettings``; this module reads those fields and repeats none. Files
are read in UTF-8. An empty value in ``.env`` or the environment means not set.
"""

from __future__ import annotations

import difflib
import logging
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ibkr.observe  # noqa: F401 - gives the logger "ibkr" its NullHandler
from ibkr.core.errors import ConfigError
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.policy import Policy
from ibkr.core.settings import Connection

_log = logging.getLogger("ibkr.config")

_CONNECTION = {f.name: getattr(Connection(), f.name) for f in fields(Connection)}
_POLICY = {f.name: getattr(Policy(), f.name) for f in fields(Policy)}
_GATEWAY_TABLE = "gateway"
_GATEWAY = {f"{_GATEWAY_TABLE}.{f.name}": getattr(GatewaySettings(), f.name) for f in fields(GatewaySettings)}
_DEFAULTS: dict[str, Any] = {**_CONNECTION, **_POLICY, **_GATEWAY}
_VARIABLES = {f"IBKR_{name.upper().replace('.', '_')}": name for name in _DEFAULTS}
_BOOLS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Section(Connection):
    """The table ``[ibkr]``: the fields of ``Connection``, the ``policy``, and the table ``[ibkr.gateway]``.

    ``section["key"]`` and ``dict(section)`` know every setting by its flat name: ``port``, ``probe_after``,
    ``gateway.driver``.
    """

    policy: Policy = Policy()
    gateway: GatewaySettings = GatewaySettings()

    def keys(self) -> Iterator[str]:
        """The names of all settings."""
        return iter(_DEFAULTS)

    def __getitem__(self, key: str) -> Any:
        if key not in _DEFAULTS:
            raise KeyError(f"{key!r} is no setting{_nearest(key, _DEFAULTS)}")
        if key in _GATEWAY:
            return getattr(self.gateway, _in_table(key))
        return getattr(self.policy if key in _POLICY else self, key)


@dataclass(frozen=True, slots=True)
class Config:
    """What ``load_config`` gives: ``cfg.ibkr.port`` and ``cfg["ibkr"]["port"]`` are the same value."""

    ibkr: Section

    def __getitem__(self, key: str) -> Section:
        if key != "ibkr":
            raise KeyError(f"{key!r} is no section; there is 'ibkr'")
        return self.ibkr


@dataclass(frozen=True, slots=True)
class Given:
    """A value and where it was given, in words."""

    value: Any
    source: str


def load_config(path: str | os.PathLike[str] | None = None, **overrides: object) -> Config:
    """The settings in force. An override of ``None`` counts as not given.

    ``path`` names the TOML file, which must then exist; without it ``ibkr.toml`` in the current directory is read if
    it is there, as ``.env`` is. ``os.environ`` is only read. Raises ``ConfigError`` with key, value, source and cure.
    """
    return config_of(read_settings(path, **overrides))


def read_settings(path: str | os.PathLike[str] | None = None, **overrides: object) -> dict[str, tuple[Given, ...]]:
    """Every place that gives a setting, by its name; the last is in force. As for ``load_config``."""
    places = (
        _from_toml(path),
        _from_variables(_read_dotenv(), ".env"),
        _from_variables(os.environ, "the environment"),
        _from_table({key: value for key, value in overrides.items() if value is not None}, "the arguments"),
    )
    given: dict[str, tuple[Given, ...]] = {}
    for place in places:
        for key, one in place.items():
            given[key] = (*given.get(key, ()), one)
    return given


def config_of(given: Mapping[str, tuple[Given, ...]]) -> Config:
    """The settings in force of those that are given. Raises ``ConfigError``."""
    values = {key: places[-1].value for key, places in given.items()}
    try:
        policy = Policy(**{key: value for key, value in values.items() if key in _POLICY})
        policy.calendar(ZoneInfo)  # a window that cannot be read is refused here, with its source
        gateway = GatewaySettings(**{_in_table(key): value for key, value in values.items() if key in _GATEWAY})
        connection = {key: value for key, value in values.items() if key in _CONNECTION}
        section = Section(**connection, policy=policy, gateway=gateway)
    except ConfigError as error:
        places = given.get(error.key.removeprefix("ibkr."))
        if places is None:
            raise
        raise _refused(error.key, error.value, error.cure, places[-1].source) from error
    return Config(section)


def _from_toml(path: str | os.PathLike[str] | None) -> dict[str, Given]:
    file = Path("ibkr.toml" if path is None else path)
    if path is None and not file.exists():
        return {}
    try:
        document = tomllib.loads(_read(file))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("config", str(file), f"not valid TOML: {error}") from error
    table = document.pop("ibkr", {})
    for key in document:
        if key in _DEFAULTS:
            raise ConfigError(f"ibkr.{key}", document[key], f"belongs below the line [ibkr] in {file}")
        if key == _GATEWAY_TABLE:
            raise ConfigError(key, "...", f"unknown table in {file}; did you mean [ibkr.{_GATEWAY_TABLE}]?")
        if difflib.get_close_matches(key, ["ibkr"]):
            raise ConfigError(key, document[key], f"unknown table in {file}; did you mean [ibkr]?")
    if not isinstance(table, dict):
        raise ConfigError("ibkr", table, f"must be a table, a line [ibkr] with the settings below it, in {file}")
    return _from_table(table, str(file))


def _from_table(table: Mapping[str, Any], source: str) -> dict[str, Given]:
    """Typed values, as TOML and arguments have them. A table in it gives its keys their names: ``gateway.driver``."""
    gateway = table.get(_GATEWAY_TABLE)
    if isinstance(gateway, Mapping):
        table = {key: value for key, value in table.items() if key != _GATEWAY_TABLE}
        table |= {f"{_GATEWAY_TABLE}.{key}": value for key, value in gateway.items()}
    return {key: Given(_typed(key, value, source), source) for key, value in table.items()}


def _in_table(key: str) -> str:
    """The name that a setting has in the table ``[ibkr.gateway]``."""
    return key.removeprefix(f"{_GATEWAY_TABLE}.")


def _from_variables(variables: Mapping[str, str | None], place: str) -> dict[str, Given]:
    """Text values, as ``.env`` and the environment have them. Names that are no setting belong to other programs."""
    given = {}
    for variable, text in variables.items():
        key = _VARIABLES.get(variable)
        source = f"{variable} in {place}"
        if key is None:
            _warn_of_near_miss(variable, place)
        elif text is None:
            raise _refused(f"ibkr.{key}", text, "has no value: write NAME=value", source)
        elif text.strip():
            given[key] = Given(_parsed(key, text.strip(), source), source)
    return given


def _read_dotenv() -> Mapping[str, str | None]:
    file = Path(".env")
    if not file.is_file():
        return {}
    from io import StringIO

    from dotenv import dotenv_values

    return dotenv_values(stream=StringIO(_read(file)))


def _read(file: Path) -> str:
    """The file's text; the mark that Windows editors begin a file with is dropped."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError("config", str(file), "there is no such file") from error
    except OSError as error:
        raise ConfigError("config", str(file), f"the file cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        cure = f"the file is not UTF-8 text (byte {error.start}); save it again as UTF-8"
        raise ConfigError("config", str(file), cure) from error


def _typed(key: str, value: Any, source: str) -> Any:
    """The value in the setting's type, where TOML has another; the settings' own classes check the rest."""
    if key not in _DEFAULTS:
        raise _refused(f"ibkr.{key}", value, f"unknown setting{_nearest(key, _DEFAULTS)}", source)
    default = _DEFAULTS[key]
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)):
            raise _refused(f"ibkr.{key}", value, 'must be a list of texts, in square brackets: ["...", "..."]', source)
        return tuple(value)
    if isinstance(default, float) and type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise _refused(f"ibkr.{key}", value, "must be a number of a sensible size", source) from error
    return value


def _parsed(key: str, text: str, source: str) -> Any:
    default = _DEFAULTS[key]
    if isinstance(default, tuple):
        return tuple(name.strip() for name in text.split(",") if name.strip())
    parse, cure = _PARSERS[type(default)]
    try:
        return parse(text)
    except ValueError as error:
        raise _refused(f"ibkr.{key}", text, cure, source) from error


def _bool(text: str) -> bool:
    if text.lower() not in _BOOLS:
        raise ValueError(text)
    return _BOOLS[text.lower()]


_PARSERS: dict[type, tuple[Callable[[str], Any], str]] = {
    bool: (_bool, "must be one of 1, 0, true, false, yes, no, on, off"),
    int: (int, "must be a whole number"),
    float: (float, "must be a number"),
    str: (str, ""),
}


def _refused(key: str, value: object, cure: str, source: str) -> ConfigError:
    return ConfigError(key, value, f"{cure} (set by {source})")


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


def _warn_of_near_miss(variable: str, place: str) -> None:
    name = variable.upper()
    if not name.startswith("IBKR_"):
        return
    close = difflib.get_close_matches(name, _VARIABLES, n=1, cutoff=0.85)
    if close:
        _log.warning("%s in %s is no setting and is ignored; did you mean %s?", variable, place, close[0])
