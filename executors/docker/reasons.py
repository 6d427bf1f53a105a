"""Why nobody can be reached behind an address, as people would say it, and what they can do about it."""

from __future__ import annotations

import errno
import os

__all__ = ["why_not"]

_RIGHTS = (
    "not permitted (is your user in the group docker?)",
    "sudo usermod -aG docker $USER (who is in that group can become root), log in again, and harness daemon stop: "
    "the next command starts it with the new rights",
)
_KNOWN = {
    errno.ENOENT: ("there is no such socket", ""),
    errno.ECONNREFUSED: ("nobody listens there", "is the engine running? sudo systemctl start docker"),
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
}


def why_not(error: BaseException) -> tuple[str, str]:
    """The innermost reason, since libraries wrap it several times, and the remedy; empty where none is known."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno is not None:
            return _KNOWN.get(seen.errno, (os.strerror(seen.errno).lower(), ""))
        inner = [argument for argument in seen.args if isinstance(argument, BaseException)]
        seen = inner[0] if inner else seen.__cause__ or seen.__context__
    return str(error).split("\n")[0][:200] or type(error).__name__, ""
