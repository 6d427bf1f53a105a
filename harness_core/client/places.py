"""Where harness keeps its state and a user's settings. Standard library only, unless the platform is a rare one."""

from __future__ import annotations

import os
import sys

__all__ = ["config_dir", "state_dir"]

_APPLICATION = "harness"


def state_dir() -> str:
    """The daemon's state directory: ``HARNESS_STATE_DIR``, else the user's state directory of this platform."""
    if given := os.environ.get("HARNESS_STATE_DIR"):
        return os.path.abspath(os.path.expanduser(given))
    return _user_dir("XDG_STATE_HOME", ".local/state", "state")


def config_dir() -> str:
    """The user's settings: ``HARNESS_CONFIG_DIR``, else the user's configuration directory of this platform."""
    if given := os.environ.get("HARNESS_CONFIG_DIR"):
        return os.path.abspath(os.path.expanduser(given))
    return _user_dir("XDG_CONFIG_HOME", ".config", "config")


def _user_dir(variable: str, below_home: str, kind: str) -> str:
    home, chosen = os.environ.get("HOME", ""), os.environ.get(variable, "")
    if sys.platform == "linux" and home.startswith("/") and (not chosen or chosen.startswith("/")):
        return os.path.join(chosen or os.path.join(home, below_home), _APPLICATION)
    import platformdirs  # other systems, and homes that need more thought, may take longer

    return platformdirs.user_state_dir(_APPLICATION) if kind == "state" else platformdirs.user_config_dir(_APPLICATION)
