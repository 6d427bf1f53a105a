"""What errors of SQLite and of the disk mean to a person: one table from error codes to sentences."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from pathlib import Path

from harness_core.domain.store import StoreError

__all__ = ["BUSY_TIMEOUT", "is_damage", "is_full", "is_moved", "translate"]

#: how long to wait for a lock that another program holds, in seconds
BUSY_TIMEOUT = 5.0
#: with less than this free, an unspecific error means a full disk: SQLite says "I/O error" when it cannot make the
#: 32 KiB of memory that its connections share
_NEEDED = 64 * 1024

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_FULL = ("the disk is full", "free some space; it goes on by itself")
#: by primary error code: why, and what next
_SENTENCES: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_IOERR: ("the disk reported an error", "look at the kernel's log and the state of the disk"),
    sqlite3.SQLITE_READONLY: ("it may not be written to", "make the state directory writable"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "check the permissions of the state directory"),
    sqlite3.SQLITE_PERM: ("permission denied", "check the permissions of the state directory"),
    sqlite3.SQLITE_BUSY: (
        f"another program has held its lock for more than {BUSY_TIMEOUT:g} s",
        "end the program that has it open (a backup tool or a database browser)",
    ),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", "restart the daemon: it puts the file aside and saves what it can"),
    sqlite3.SQLITE_NOTADB: ("it is not a database", "restart the daemon: it puts the file aside"),
    sqlite3.SQLITE_NOMEM: ("out of memory", "free some memory; it goes on by itself"),
    sqlite3.SQLITE_TOOBIG: ("a value is too large", ""),
}


def _primary(error: sqlite3.Error) -> int:
    """The primary result code; 0 for errors of the Python module itself, such as the use of a closed connection."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """The file's contents are wrong, as against the disk or a lock."""
    return _primary(error) in _DAMAGE


def is_full(error: sqlite3.Error | OSError, path: Path) -> bool:
    """There is no room left on the disk of ``path``."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    primary = _primary(error)
    return primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _free(path.parent) < _NEEDED)


def is_moved(error: sqlite3.Error) -> bool:
    """SQLite itself noticed that the file is no longer where it was opened."""
    return int(getattr(error, "sqlite_errorcode", 0)) == sqlite3.SQLITE_READONLY_DBMOVED


def translate(verb: str, path: Path, error: sqlite3.Error | OSError) -> StoreError:
    """The error for people: "cannot ``verb`` the registry at ``path``: why"."""
    if is_full(error, path):
        why, hint = _FULL
    elif _is_read_only(path.parent):
        why, hint = "its file system is read-only", "make it writable again; nothing was changed"
    elif isinstance(error, OSError):
        why, hint = (error.strerror or type(error).__name__).lower(), "check the state directory and its disk"
    else:
        why, hint = _SENTENCES.get(_primary(error), (str(error), ""))
    return StoreError(
        f"cannot {verb} the registry at {path}: {why}",
        hint=hint,
        data={"sqlite": str(getattr(error, "sqlite_errorname", ""))},
    )


def _free(directory: Path) -> int:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return _NEEDED


def _is_read_only(directory: Path) -> bool:
    try:
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    except OSError:
        return False
