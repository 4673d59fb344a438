"""The folder of a gateway. All configurations of the same gateway have the same folder."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

from ibkr.core.errors import NO_WORKING_FOLDER, ConfigError
from ibkr.core.gateway_settings import GatewaySettings


def gateway_folder(settings: GatewaySettings) -> Path:
    """Return the path of the folder in which the state of this gateway is kept.

    Raises ``ConfigError`` if a path in the settings cannot be used.
    """
    base = expand_path(settings, "state_dir") if settings.state_dir else _default_folder()
    return base / _folder_name(settings)


def expand_path(settings: GatewaySettings, name: str) -> Path:
    """Return the absolute path that a setting names. Raises ``ConfigError`` if the path cannot be made absolute."""
    text: str = getattr(settings, name)
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        cure = "begins with the home folder of a user who does not exist; give the full path"
        raise ConfigError(f"ibkr.gateway.{name}", text, cure) from error
    except FileNotFoundError as error:
        raise ConfigError(f"ibkr.gateway.{name}", text, NO_WORKING_FOLDER) from error


def _folder_name(settings: GatewaySettings) -> str:
    """Return the name of the gateway's folder. All configurations of the same gateway get the same name."""
    target = {
        "ibc2": settings.ibc2_home,
        "ibc": settings.ibc_ini and str(expand_path(settings, "ibc_ini").resolve()),
        "docker": settings.container,
        "systemd": settings.unit,
        "command": settings.start,
    }.get(settings.driver, "")
    words = re.sub(r"[^\w.-]+", "-", target)[:30] if settings.driver in ("docker", "systemd") else ""
    digest = hashlib.sha256(target.encode()).hexdigest()[:10]
    return "-".join(filter(None, (settings.driver, words, digest)))


def _default_folder() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "ibkr"
