"""The file in which a task leaves its outputs: ``KEY=value`` lines in ``$HARNESS_OUTPUT``, one file a life."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path

__all__ = ["forget", "prepare", "read"]

log = logging.getLogger(__name__)

_LINE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
#: outputs become variables of other services, not a data store
_MAX_BYTES = 65_536


def prepare(state_dir: Path, key: str, epoch: int, owner: tuple[int, int] | None) -> Path:
    """Make an empty file for one life and return its path. ``owner`` (uid, gid) may write it.

    A task of another user cannot pass through the state directory, so its file gets a directory that it owns beside.
    """
    directory = state_dir / "outputs" / key
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{epoch}.env"
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags, 0o600)
    try:
        if owner is not None:
            os.fchown(fd, *owner)
    finally:
        os.close(fd)
    return path


def read(state_dir: Path, key: str, epoch: int) -> dict[str, str]:
    """What the task wrote; lines that are no ``KEY=value`` are left out and named in the daemon's log."""
    path = state_dir / "outputs" / key / f"{epoch}.env"
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
    shutil.rmtree(state_dir / "outputs" / key, ignore_errors=True)
