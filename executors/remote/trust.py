"""Why a machine could not be logged in to, as people would say it; above all which key it showed and which is known."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import asyncssh

from executors.remote.lost import LinkLost

__all__ = ["KeySeen", "explain", "trusted"]


class KeySeen(asyncssh.SSHClient):
    """Trusts nobody, and remembers the key that was shown."""

    def __init__(self) -> None:
        self.place: tuple[str, str, int] | None = None
        self.key: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Called for a key that is not among the trusted ones."""
        self.place, self.key = (host, addr, port), key
        return False


async def explain(name: str, error: Exception, options: dict[str, Any], seen: KeySeen) -> LinkLost:
    """What went wrong, and whether trying again is of any use."""
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return await _untrusted(name, error, options, seen)
    if isinstance(error, asyncssh.PermissionDenied):
        hint = "see that ssh logs in there without asking for a password, by a key or an agent"
        return LinkLost(f"{name} refuses the login: {error.reason}", hint=hint, permanent=True, refused=True)
    if isinstance(error, TimeoutError):
        return LinkLost(f"{name} does not answer")
    if isinstance(error, socket.gaierror):
        return LinkLost(f"cannot find {name}: {error.strerror}", hint="see hosts: in the stack file, or ~/.ssh/config")
    if isinstance(error, OSError) and error.filename is not None:
        return LinkLost(f"cannot log in to {name}: cannot read {error.filename}: {error.strerror}", permanent=True)
    if isinstance(error, OSError):
        why = os.strerror(error.errno) if error.errno else str(error)
        return LinkLost(f"cannot reach {name}: {why.lower()}")
    if isinstance(error, asyncssh.Error):
        return LinkLost(f"cannot log in to {name}: {error.reason}")
    # a private key or a configuration file that cannot be read
    return LinkLost(f"cannot log in to {name}: {error}", permanent=True)


async def _untrusted(name: str, error: asyncssh.Error, options: dict[str, Any], seen: KeySeen) -> LinkLost:
    if seen.key is None or seen.place is None:
        return LinkLost(f"the host key of {name} cannot be trusted: {error.reason}", permanent=True)
    shown = _fingerprint(seen.key)
    known = await asyncio.to_thread(_known, options, seen.place)
    if not known:
        return LinkLost(
            f"the host key of {name} is not known: {shown}",
            hint=f"compare it with what its owner says, and log in once with: ssh {name}",
            permanent=True,
        )
    return LinkLost(
        f"the host key of {name} has CHANGED: it shows {shown}, and known is {' and '.join(known)}",
        hint="somebody may be in between; if the machine was made anew, remove its old key with ssh-keygen -R",
        permanent=True,
    )


def trusted(options: dict[str, Any], known_hosts: str | None) -> Any:
    """Where the trusted keys are, as asyncssh takes it: never nothing, which it would take for trust in everybody.

    Blocks for a few small files. Raises ``OSError`` or ``ValueError`` for those that cannot be read.
    """
    if known_hosts is not None:
        path = Path(known_hosts).expanduser()
        path.read_bytes()
        return str(path)
    wanted = {key: value for key, value in options.items() if key in ("host", "port", "username")}
    files = asyncssh.SSHClientConnectionOptions(**wanted).known_hosts
    if files:
        return files
    usual = Path("~/.ssh/known_hosts").expanduser()
    return str(usual) if usual.is_file() else b""


def _known(options: dict[str, Any], place: tuple[str, str, int]) -> list[str]:
    """The fingerprints that are trusted for a machine."""
    keys = asyncssh.match_known_hosts(options["known_hosts"], *place)[0]
    return list(dict.fromkeys(_fingerprint(key) for key in keys))


def _fingerprint(key: asyncssh.SSHKey) -> str:
    return f"{key.get_algorithm()} {key.get_fingerprint()}"
