"""Which daemon is meant: ``--context``, else ``HARNESS_CONTEXT``, else the one of ``harness context use``, else the
local one."""

from __future__ import annotations

import os

from harness_core.client import locate

__all__ = ["LOCAL", "choose", "current", "endpoint", "is_local", "meant"]

LOCAL = "local"


def current() -> str:
    """The context that ``harness context use`` chose; "" when none was."""
    try:
        with open(_path(), encoding="utf-8") as file:
            return file.read(256).strip()
    except (OSError, ValueError):
        return ""


def choose(name: str) -> None:
    """Make ``name`` the context of all commands that name none; ``LOCAL`` ends that."""
    path = _path()
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(f"{name}\n")
    os.replace(temporary, path)


def meant(context: str) -> str:
    """The name or address of the daemon that is meant."""
    return context or os.environ.get("HARNESS_CONTEXT", "") or current() or LOCAL


def is_local(context: str) -> bool:
    """Whether it is the daemon of this user's state directory, which a command may start."""
    return meant(context) == LOCAL


def endpoint(context: str) -> locate.Endpoint:
    """The daemon's address and credentials. Raises as ``locate.find`` does."""
    return locate.find(meant(context))


def _path() -> str:
    return os.path.join(locate.config_dir(), "current-context")
