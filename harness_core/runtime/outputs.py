"""The file in which a task leaves its outputs: ``KEY=value`` lines in ``$HARNESS_OUTPUT``, one file a life."""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
from pathlib import Path

from harness_core.domain.spec import UnitSpec
from harness_core.runtime.keeper.failpoints import failpoint

__all__ = ["forget", "path_for", "prepare", "read"]

log = logging.getLogger(__name__)

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
#: outputs become variables of other services, not a data store
_MAX_BYTES = 65_536
#: folders of ours above a file of another user: .harness/outputs/STACK
_SHARED = 3


def path_for(state_dir: Path, unit: UnitSpec, epoch: int) -> Path:
    """Where one life of a task leaves its outputs.

    The state directory lets no other user pass, so a task of another user leaves them beside the stack file.
    """
    if unit.user is None:
        return state_dir / "outputs" / unit.stack / unit.name / f"{epoch}.env"
    return Path(unit.base_dir) / ".harness" / "outputs" / unit.stack / f"{unit.name}.{epoch}.env"


def prepare(path: Path, owner: tuple[int, int] | None) -> None:
    """Make the file, empty; ``owner`` (uid, gid) may write it."""
    failpoint("outputs.before")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if owner is not None:
        for folder in path.parents[:_SHARED]:
            # whoever knows the name of the file may pass, whatever the daemon's umask
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if owner is not None:
            os.fchown(fd, *owner)
    finally:
        os.close(fd)
    failpoint("outputs.after")


def read(path: Path, key: str) -> dict[str, str]:
    """What the task wrote; lines that are no ``KEY=value`` are left out and named in the daemon's log."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
    except OSError:
        return {}
    if len(text) > _MAX_BYTES:
        log.warning("the outputs of %s are longer than %d bytes and are left out", key, _MAX_BYTES)
        return {}
    found: dict[str, str] = {}
    for line in text.decode("utf-8", "backslashreplace").splitlines():
        if match := _LINE.fullmatch(line.strip()):
            found[match[1]] = match[2]
        elif line.strip() and not line.lstrip().startswith("#"):
            log.warning("a line of the outputs of %s is not KEY=value and is left out", key)
    return found


def forget(state_dir: Path, key: str) -> None:
    """Remove what a unit that is no more left."""
    shutil.rmtree(state_dir / "outputs" / key, ignore_errors=True)
