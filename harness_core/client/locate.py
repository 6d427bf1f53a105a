"""Where the daemon is and what lets us in: the state directory, saved contexts, connection strings.

The standard library alone, and little of it: commands that people repeat pay for every import here.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, NamedTuple

from harness_core.domain.errors import DaemonUnreachable, NotAllowed, UsageError

__all__ = ["Endpoint", "config_dir", "daemon_file", "find", "is_local", "local_endpoint", "parse_address", "state_dir"]

_APPLICATION = "harness"


class Endpoint(NamedTuple):
    """A daemon, and what proves the two sides to each other."""

    host: str
    port: int
    token: str
    #: PEM of the authority that the daemon's certificate must come from; "" when only the pin is known yet
    ca: str = ""
    #: base64 SHA-256 of the authority's public key; "" for the local daemon, whose authority we read ourselves
    pin: str = ""
    #: the saved context's name; "" for the local daemon and for a bare connection string
    context: str = ""
    #: of the local daemon; "" for one elsewhere
    state_dir: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


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
    """The daemon of a state directory, as its files tell. Raises ``DaemonUnreachable`` when there is none."""
    found = daemon_file(directory)
    if found is None:
        raise DaemonUnreachable(
            f"cannot reach the daemon: none has been started for {directory}", hint="harness daemon start"
        )
    host, port = _split_url(str(found.get("url", "")))
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


def daemon_file(directory: str) -> dict[str, Any] | None:
    """What the daemon wrote about itself into ``daemon.json``; ``None`` when there is nothing usable."""
    try:
        found = json.loads(_read(os.path.join(directory, "daemon.json")))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("url"), str) else None


def parse_address(address: str) -> Endpoint:
    """A connection string ``harness://host:port/#h1.<pin>.<token>``. Raises ``UsageError`` when it is not one."""
    place, _, secret = address.removeprefix("harness://").partition("#")
    version, pin, token = (*secret.split(".", 2), "", "", "")[:3]
    if not address.startswith("harness://") or version != "h1" or len(pin) != 44 or not token.startswith("hns_"):
        raise UsageError(
            "cannot use this connection string: it must read harness://host:port/#h1.PIN.TOKEN",
            hint="harness token create NAME, on the daemon's machine, prints one",
        )
    host, port = _split_url(f"https://{place}")
    return Endpoint(host, port, token, pin=pin)


def _split_url(url: str) -> tuple[str, int]:
    place = url.partition("://")[2].partition("/")[0]
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"cannot use the address {url!r}: it needs a host and a port")
    return host.strip("[]"), int(port)


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _user_dir(variable: str, below_home: str, kind: str) -> str:
    home, chosen = os.environ.get("HOME", ""), os.environ.get(variable, "")
    if sys.platform == "linux" and home.startswith("/") and (not chosen or chosen.startswith("/")):
        return os.path.join(chosen or os.path.join(home, below_home), _APPLICATION)
    import platformdirs  # other systems, and homes that need more thought, may take longer

    return platformdirs.user_state_dir(_APPLICATION) if kind == "state" else platformdirs.user_config_dir(_APPLICATION)
