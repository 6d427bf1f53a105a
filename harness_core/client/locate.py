"""Where the daemon is and what lets us in: the state directory, saved contexts, connection strings.

The standard library alone, and little of it: commands that people repeat pay for every import here.
"""

from __future__ import annotations

import json
import os
from typing import Any

from harness_core.client.endpoint import Endpoint, parse_address, split_url
from harness_core.client.places import config_dir, state_dir
from harness_core.domain.errors import DaemonUnreachable, NotAllowed

__all__ = [
    "Endpoint",
    "check_owner",
    "config_dir",
    "daemon_file",
    "find",
    "is_local",
    "local_endpoint",
    "parse_address",
    "state_dir",
]


def find(context: str = "") -> Endpoint:
    """The daemon that is meant: ``context``, else ``HARNESS_CONTEXT``, else the local one.

    A context is a saved name or a connection string. Raises ``DaemonUnreachable`` when no local daemon has left its
    address, ``NotFound`` for an unknown context, ``NotAllowed`` when its token cannot be read.
    """
    context = _meant(context)
    if is_local(context):
        return local_endpoint(state_dir())
    if context.startswith("harness://"):
        return parse_address(context)
    from harness_core.client import contexts  # only those who use one pay for it

    return contexts.endpoint(context)


def is_local(context: str = "") -> bool:
    """Whether ``context`` (or ``HARNESS_CONTEXT``) means the daemon of this user on this machine."""
    return _meant(context) in ("", "local")


def _meant(context: str) -> str:
    return context or os.environ.get("HARNESS_CONTEXT", "")


def local_endpoint(directory: str) -> Endpoint:
    """The daemon of a state directory, as its files tell. Raises ``DaemonUnreachable`` when there is none, and
    ``NotAllowed`` when the directory is another user's: so would be the daemon that we trust with all we send."""
    found = daemon_file(directory)
    if found is None:
        raise DaemonUnreachable(
            f"cannot reach the daemon: none has been started for {directory}", hint="harness daemon start"
        )
    host, port = split_url(str(found.get("url", "")))
    check_owner(directory)
    try:
        token = _read(os.path.join(directory, "token")).strip()
        authority = _read(os.path.join(directory, "tls", "ca.pem"))
    except PermissionError as error:
        raise NotAllowed(
            f"cannot use the daemon of {directory}: its credentials belong to another user",
            hint="ask for a token and use it as a context",
        ) from error
    except OSError as error:
        raise DaemonUnreachable(
            f"cannot reach the daemon: {error.filename} cannot be read ({error.strerror})", hint="harness daemon start"
        ) from error
    return Endpoint(host, port, token, authority, state_dir=directory)


def check_owner(directory: str) -> None:
    """Raise ``NotAllowed`` when an existing state directory is not this user's own."""
    try:
        owner = os.stat(directory).st_uid
    except OSError:
        return
    if owner != os.geteuid():
        raise NotAllowed(
            f"cannot use the daemon of {directory}: the directory belongs to another user",
            hint="ask that user for a token and use it as a context, or set HARNESS_STATE_DIR",
        )


def daemon_file(directory: str) -> dict[str, Any] | None:
    """What the daemon wrote about itself into ``daemon.json``; ``None`` when there is nothing usable.

    In a copy of a state directory the file tells of the original's daemon, who is none of ours.
    """
    try:
        found = json.loads(_read(os.path.join(directory, "daemon.json")))
        info = os.stat(directory)
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("url"), str):
        return None
    place = f"{info.st_dev}:{info.st_ino}"
    return found if found.get("place", place) == place else None


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
