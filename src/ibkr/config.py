"""Loads the settings from defaults, ``ibkr.toml``, ``.env``, the environment and arguments. Later sources win.

The settings are the fields of ``ConnectionSettings``, ``Policy`` and, in the inner tables, ``GatewaySettings``,
``Deadlines``, ``AlertSettings`` and ``Fleet``. Files are read as UTF-8. An empty value in ``.env`` or the environment
means that the setting is not set.
"""

from __future__ import annotations

import difflib
import logging
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import ibkr.observe  # noqa: F401 - gives the logger "ibkr" its NullHandler
from ibkr.core.alert_settings import SECRETS, AlertSettings
from ibkr.core.connection_settings import ConnectionSettings
from ibkr.core.deadline_settings import Deadlines
from ibkr.core.errors import ConfigError
from ibkr.core.fleet_settings import Fleet
from ibkr.core.frozen_record import ValidatedRecord
from ibkr.core.gateway_settings import GatewaySettings
from ibkr.core.policy import Policy

_log = logging.getLogger("ibkr.config")

_CONNECTION = {f.name: getattr(ConnectionSettings(), f.name) for f in fields(ConnectionSettings)}
_POLICY = {f.name: getattr(Policy(), f.name) for f in fields(Policy) if f.name != "deadlines"}
_TABLES: dict[str, ValidatedRecord] = dict(
    deadlines=Deadlines(), gateway=GatewaySettings(), alerts=AlertSettings(), fleet=Fleet()
)
_DEADLINES, _GATEWAY, _ALERTS, _FLEET = (
    {f"{table}.{f.name}": getattr(settings, f.name) for f in fields(settings)} for table, settings in _TABLES.items()
)
_DEFAULTS: dict[str, Any] = {**_CONNECTION, **_POLICY, **_DEADLINES, **_GATEWAY, **_ALERTS, **_FLEET}
_SECRET = frozenset(("fleet.servers", *(f"alerts.{name}" for name in SECRETS)))
_VARIABLES = {f"IBKR_{name.upper().replace('.', '_')}": name for name in _DEFAULTS}
_BOOLS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Section(ConnectionSettings):
    """The table ``[ibkr]``: the fields of ``ConnectionSettings``, the ``policy``, and the inner tables.

    ``section["key"]`` and ``dict(section)`` give every setting by its flat name, for example ``port``, ``probe_after``
    or ``gateway.driver``.
    """

    policy: Policy = Policy()
    gateway: GatewaySettings = GatewaySettings()
    alerts: AlertSettings = AlertSettings()
    fleet: Fleet = Fleet()

    def keys(self) -> Iterator[str]:
        """The names of all settings."""
        return iter(_DEFAULTS)

    def __getitem__(self, key: str) -> Any:
        if key not in _DEFAULTS:
            raise KeyError(f"{key!r} is not a setting{_nearest(key, _DEFAULTS)}")
        for table, names in ((self.gateway, _GATEWAY), (self.alerts, _ALERTS), (self.fleet, _FLEET)):
            if key in names:
                return getattr(table, _in_table(key))
        if key in _DEADLINES:
            return getattr(self.policy.request_deadlines, _in_table(key))
        return getattr(self.policy if key in _POLICY else self, key)


@dataclass(frozen=True, slots=True)
class Config:
    """The result of ``load_config``. ``cfg.ibkr.port`` and ``cfg["ibkr"]["port"]`` are the same value."""

    ibkr: Section

    def __getitem__(self, key: str) -> Section:
        if key != "ibkr":
            raise KeyError(f"{key!r} is not a section; the only one is 'ibkr'")
        return self.ibkr


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, and where it was set."""

    value: Any
    source: str


def load_config(path: str | os.PathLike[str] | None = None, **overrides: object) -> Config:
    """Load the settings. Raises ``ConfigError`` with key, value, source and what to do.

    Args:
        path: The TOML file, which must exist. Without it, ``ibkr.toml`` in the current directory is read if it exists.
            ``.env`` in the current directory, if it exists, wins over the file. The environment wins over both.
        overrides: Settings by name, which win over all other sources. ``None`` means not set.
    """
    return config_of(read_settings(path, **overrides))


def read_settings(path: str | os.PathLike[str] | None = None, **overrides: object) -> dict[str, tuple[Setting, ...]]:
    """All sources that set each setting. The last one wins. The arguments are the same as for ``load_config``."""
    places = (
        _from_toml(path),
        _from_variables(_read_dotenv(), ".env"),
        _from_variables(os.environ, "the environment"),
        _from_table({key: value for key, value in overrides.items() if value is not None}, "the arguments"),
    )
    sources: dict[str, tuple[Setting, ...]] = {}
    for place in places:
        for key, setting in place.items():
            sources[key] = (*sources.get(key, ()), setting)
    return sources


def config_of(sources: Mapping[str, tuple[Setting, ...]]) -> Config:
    """The settings that result from all sources. Raises ``ConfigError``."""
    values = {key: places[-1].value for key, places in sources.items()}
    try:
        deadlines = Deadlines(**{_in_table(key): value for key, value in values.items() if key in _DEADLINES})
        policy = Policy(deadlines=deadlines, **{key: value for key, value in values.items() if key in _POLICY})
        policy.calendar(ZoneInfo)  # reports an invalid maintenance window here, with its source
        gateway = GatewaySettings(**{_in_table(key): value for key, value in values.items() if key in _GATEWAY})
        alerts = AlertSettings(**{_in_table(key): value for key, value in values.items() if key in _ALERTS})
        connection = {key: value for key, value in values.items() if key in _CONNECTION}
        fleet = Fleet(**{_in_table(key): value for key, value in values.items() if key in _FLEET})
        section = Section(**connection, policy=policy, gateway=gateway, alerts=alerts, fleet=fleet)
    except ConfigError as error:
        places = sources.get(error.key.removeprefix("ibkr."))
        if places is None:
            raise
        raise _refused(error.key, error.value, error.cure, places[-1].source) from error
    return Config(section)


def _from_toml(path: str | os.PathLike[str] | None) -> dict[str, Setting]:
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
        if key in _TABLES:
            raise ConfigError(key, "...", f"unknown table in {file}; did you mean [ibkr.{key}]?")
        kind = "table" if isinstance(document[key], Mapping) else "setting"
        words = f"unknown {kind} in {file}; {_meant(key, document[key])}"
        raise ConfigError(key, _shown(document[key]), words)
    if not isinstance(table, dict):
        raise ConfigError("ibkr", table, f"must be a table, a line [ibkr] with the settings below it, in {file}")
    return _from_table(table, str(file))


def _shown(value: object) -> object:
    """Hide tables and lists: they may be long or confidential."""
    return "..." if isinstance(value, (Mapping, list)) else value


def _meant(key: str, value: object) -> str:
    """Suggest what is meant by an unknown key: a table with a similar name, or a table that has the same keys."""
    tables = {"ibkr": "[ibkr]"} | {name: f"[ibkr.{name}]" for name in _TABLES}
    if close := difflib.get_close_matches(key.lower(), tables, n=1):
        return f"did you mean {tables[close[0]]}?"
    inner = tuple(value) if isinstance(value, Mapping) else ()
    if not inner and (close := difflib.get_close_matches(key.lower(), _DEFAULTS, n=1)):
        return f"did you mean {close[0]!r}, below the line [ibkr]?"
    owners = [name for name in _TABLES if any(f"{name}.{each}" in _DEFAULTS for each in inner)]
    owner = owners[0] if owners and not any(each in _DEFAULTS for each in inner) else "ibkr"
    return f"did you mean {tables[owner]}? There are {', '.join(tables.values())}"


def _from_table(table: Mapping[str, Any], source: str) -> dict[str, Setting]:
    """Typed values from TOML or arguments. Keys of an inner table begin with the table's name: ``gateway.driver``."""
    for name in _TABLES:
        inner = table.get(name)
        if isinstance(inner, Mapping):
            table = {key: value for key, value in table.items() if key != name}
            table |= {f"{name}.{key}": value for key, value in inner.items()}
    return {key: Setting(_typed(key, value, source), source) for key, value in table.items()}


def _in_table(key: str) -> str:
    """The name of a setting within its own table, such as ``[ibkr.gateway]``."""
    return key.partition(".")[2]


def _from_variables(variables: Mapping[str, str | None], place: str) -> dict[str, Setting]:
    """Text values from ``.env`` or the environment. Variables that are not settings belong to other programs."""
    sources = {}
    for variable, text in variables.items():
        key = _VARIABLES.get(variable)
        source = f"{variable} in {place}"
        if key is None:
            _warn_of_near_miss(variable, place)
        elif text is None:
            raise _refused(f"ibkr.{key}", text, "has no value: write NAME=value", source)
        elif text.strip():
            sources[key] = Setting(_parsed(key, text.strip(), source), source)
    return sources


def _read_dotenv() -> Mapping[str, str | None]:
    file = Path(".env")
    if not file.is_file():
        return {}
    from dotenv import dotenv_values, parser

    text = _read(file)
    for line in parser.parse_stream(StringIO(text)):
        # dotenv_values would skip this line silently. Lines that are not for us may have any format.
        if line.error and "IBKR_" in line.original.string.upper():
            cure = "cannot be parsed: write NAME=value, the value with both quotes or without"
            raise ConfigError(f"line {line.original.line} of .env", "...", cure)
    return dotenv_values(stream=StringIO(text))


def _read(file: Path) -> str:
    """The file's text, without the byte order mark that Windows editors write."""
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
    """Convert the value to the setting's type where TOML has another type. The settings' classes check the rest."""
    if key in _TABLES:
        raise _refused(f"ibkr.{key}", value, f"must be a table, a line [ibkr.{key}] with its settings below it", source)
    if key not in _DEFAULTS and isinstance(value, Mapping):
        raise _refused(f"ibkr.{key}", "...", f"unknown table; {_meant(key, value)}", source)
    if key not in _DEFAULTS:
        raise _refused(f"ibkr.{key}", value, f"unknown setting{_nearest(key, _DEFAULTS)}", source)
    default = _DEFAULTS[key]
    if key in _DEADLINES and value == "off":
        return None
    if isinstance(default, tuple):
        if not isinstance(value, (list, tuple)):
            raise _refused(f"ibkr.{key}", value, 'must be a list of texts, in square brackets: ["...", "..."]', source)
        return tuple(value)
    if isinstance(default, float) and type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise _refused(f"ibkr.{key}", value, "must be a number below 1e308", source) from error
    return value


def _parsed(key: str, text: str, source: str) -> Any:
    default = _DEFAULTS[key]
    if isinstance(default, tuple):
        return tuple(name.strip() for name in text.split(",") if name.strip())
    if key in _DEADLINES and text.lower() == "off":
        return None
    parse, cure = _PARSERS[type(default)]
    try:
        return parse(text)
    except (ValueError, KeyError) as error:
        raise _refused(f"ibkr.{key}", text, cure, source) from error


_PARSERS: dict[type, tuple[Callable[[str], Any], str]] = {
    bool: (lambda text: _BOOLS[text.lower()], "must be one of 1, 0, true, false, yes, no, on, off"),
    int: (int, "must be a whole number"),
    float: (float, "must be a number"),
    str: (str, ""),
}


def _refused(key: str, value: object, cure: str, source: str) -> ConfigError:
    is_secret = key.removeprefix("ibkr.") in _SECRET
    return ConfigError(key, "***" if is_secret else value, f"{cure} (set by {source})")


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name.lower(), known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known settings: {', '.join(sorted(known, key=lambda key: ('.' in key, key)))}"


def _warn_of_near_miss(variable: str, place: str) -> None:
    name = variable.upper()
    if not name.startswith("IBKR_"):
        return
    close = difflib.get_close_matches(name, _VARIABLES, n=1, cutoff=0.85)
    if close:
        _log.warning("%s in %s is not a setting and is ignored; did you mean %s?", variable, place, close[0])
