"""Files that nobody else may read: private from the first byte, swapped whole, never through a link.

Keys, tokens and the audit trail go through here. A file is created with ``O_EXCL`` and mode 0600 whatever the umask,
and put in place by a rename, so that a crash leaves the old content or the new, never half of one.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness_core.domain.errors import NotAllowed
from harness_core.runtime.keeper.failpoints import failpoint

__all__ = ["open_private", "private_directory", "read_private", "set_aside", "sync_directory", "write_private"]

_HINT = "remove it, or set HARNESS_STATE_DIR to a directory of your own"


def private_directory(path: Path) -> Path:
    """Make ``path`` a directory of ours with mode 0700. Raises ``NotAllowed`` when it is a link or another user's."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise NotAllowed(f"cannot use {path}: it is not a directory, or a link to one", hint=_HINT) from error
    try:
        info = os.fstat(fd)
        _check_owner(path, info)
        if stat.S_IMODE(info.st_mode) != 0o700:
            os.fchmod(fd, 0o700)
    finally:
        os.close(fd)
    return path


def read_private(path: Path, limit: int = 1 << 20) -> bytes:
    """The content of a private file, whose mode is tightened if it was loose.

    Raises ``FileNotFoundError`` when there is none, and ``NotAllowed`` for a link, another user's file, or one that is
    larger than ``limit`` bytes.
    """
    with open_private(path, os.O_RDONLY) as fd:
        if os.fstat(fd).st_size > limit:
            raise NotAllowed(f"cannot use {path}: it is larger than {limit} bytes", hint=_HINT)
        with open(fd, "rb", closefd=False) as file:
            return file.read()


@contextmanager
def open_private(path: Path, flags: int) -> Iterator[int]:
    """A descriptor of a regular file of ours, mode 0600, closed at the end. Raises as ``read_private`` does."""
    try:
        # O_NONBLOCK: a FIFO put in its place must not hang us; on a regular file it does nothing
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = "it is a link" if path.is_symlink() else (error.strerror or str(error)).lower()
        raise NotAllowed(f"cannot use {path}: {reason}", hint=_HINT) from error
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise NotAllowed(f"cannot use {path}: it is not a regular file", hint=_HINT)
        _check_owner(path, info)
        if stat.S_IMODE(info.st_mode) != 0o600:
            os.fchmod(fd, 0o600)
        yield fd
    finally:
        os.close(fd)


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` by a file of mode 0600 holding ``data``; on the disk when this returns."""
    if path.is_symlink():
        raise NotAllowed(f"cannot write {path}: it is a link", hint=_HINT)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600)
    try:
        try:
            os.fchmod(fd, 0o600)  # a umask may only have taken bits away, also from the owner
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        failpoint(f"private.{path.name}.before")
        os.replace(temporary, path)
        failpoint(f"private.{path.name}.after")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def set_aside(path: Path, mark: str) -> Path | None:
    """Rename ``path`` to ``NAME.MARK`` beside it, so that nothing is thrown away; ``None`` when there is no file."""
    kept = path.with_name(f"{path.name}.{mark}")
    try:
        os.replace(path, kept)
    except FileNotFoundError:
        return None
    return kept


def sync_directory(path: Path) -> None:
    """Make renames inside ``path`` survive a power loss."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _check_owner(path: Path, info: os.stat_result) -> None:
    if info.st_uid != os.geteuid():
        raise NotAllowed(f"cannot use {path}: it belongs to user {info.st_uid}, not to {os.geteuid()}", hint=_HINT)
