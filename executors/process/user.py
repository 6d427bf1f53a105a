"""Who a process runs as."""

from __future__ import annotations

import difflib
import os
import pwd
from typing import TypedDict

from harness_core.domain.executor import StartFailed

__all__ = ["Credentials", "credentials_of"]


class Credentials(TypedDict, total=False):
    """The ids to change to; empty for no change."""

    uid: int
    gid: int
    groups: list[int]


def credentials_of(user: str | None) -> Credentials:
    """Look a user up by name or number. Raises ``StartFailed`` when unknown, or when only root could become it."""
    if user is None:
        return {}
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        close = difflib.get_close_matches(user, [one.pw_name for one in pwd.getpwall()], n=1)
        hint = f"did you mean {close[0]}?" if close else ""
        raise StartFailed(f"cannot start as user {user}: no such user", hint=hint, permanent=True) from None
    if entry.pw_uid == os.geteuid():
        return {}
    if os.geteuid() != 0:
        raise StartFailed(
            f"cannot start as user {user}: the daemon does not run as root",
            hint="leave user out, or run the daemon as root",
            permanent=True,
        )
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return {"uid": entry.pw_uid, "gid": entry.pw_gid, "groups": groups}
